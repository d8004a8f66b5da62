"""All kinds of findings: level, text and cure."""

from dataclasses import dataclass

FEW = 0.01  # MMDetection drops such boxes and polygons, and in a large set a few do no harm
LEVELS = ('error', 'warning', 'note')


@dataclass(frozen=True)
class Kind:
    """One kind of finding.

    Attributes:
        level: An ``error`` stops a training before it starts, a ``warning`` is printed before it, a ``note``
            is only shown by the tool.
        text: Description, in the plural.
        cure: What to do.
        whole: It applies to the whole data set and is not counted.
        few: Level if it concerns less than :data:`FEW` of the annotations.
    """

    level: str
    text: str
    cure: str
    whole: bool = False
    few: str | None = None


FILES = {
    'missing_file': Kind(
        'error', 'images that do not exist', 'copy them, or remove them from the annotations'
    ),
    'unreadable_image': Kind(
        'error',
        'images that cannot be read',
        'copy them again, remove them, or train with --skip-broken',
    ),
    'unreadable_map': Kind(
        'error', 'label maps that cannot be read', 'export them again, or remove them'
    ),
    'skipped': Kind(
        'warning',
        'images that cannot be read, or whose label map cannot, and are left out of the training',
        'copy them again',
    ),
    'turned_image': Kind(
        'error',
        'images that EXIF rotates when they are loaded, without their labels',
        "load with dict(type='LoadImageFromFile', color_type='color_ignore_orientation')",
    ),
    'perhaps_turned_image': Kind(
        'warning',
        'images that EXIF rotates by 180 degrees or mirrors when they are loaded; it is unknown whether '
        'their boxes were drawn on the rotated image',
        'look at them with tools/browse_dataset.py; color_type="color_ignore_orientation" of '
        'LoadImageFromFile does not rotate',
    ),
    'deep_image': Kind(
        'warning',
        'images of more than 8 bits, of which the loader keeps the upper 8',
        'scale them to 8 bits yourself where they are dark',
    ),
    'blank_image': Kind('warning', 'images of one colour', 'look at them, remove them'),
    'other_suffix': Kind(
        'warning',
        'images that are ignored because of their ending',
        'rename them, or set img_suffix',
    ),
    'not_a_file': Kind(
        'warning',
        'folders or dangling links with the name of an image, which are ignored',
        'remove or rename them, repair the links',
    ),
    'hidden_file': Kind(
        'warning',
        'hidden files with the name of an image (macOS writes ._name), which are ignored',
        'remove them',
    ),
    'unlisted_image': Kind(
        'note',
        'images in the folder that the annotation file does not name',
        'nothing, if this is intended',
    ),
}
SEGMENTATION = {
    'missing_map': Kind('error', 'images without a label map', 'draw it, or move the image away'),
    'missing_image': Kind(
        'warning', 'label maps without an image', 'add the image, or remove the map'
    ),
    'map_size': Kind(
        'error',
        'label maps whose size is not that of their image',
        'export them at the size of the image',
    ),
    'map_colour': Kind(
        'error',
        'label maps in colour',
        'a label map has one channel whose values are the numbers of classes',
    ),
    'map_values_change': Kind(
        'error',
        'label maps whose values change when they are read as 8 bits',
        'save them as 8-bit grey PNG',
    ),
    'map_mode': Kind(
        'note', 'label maps that are not 8-bit grey, but are read correctly', 'nothing'
    ),
    'values': Kind(
        'error',
        'label maps with values that are not a class',
        'correct the maps, or metainfo, num_classes and reduce_zero_label',
    ),
    'ignored_map': Kind(
        'warning',
        'label maps in which every pixel is ignored',
        'training cannot use them; remove them or draw labels',
    ),
    'all_ignored': Kind(
        'error',
        'every pixel of the label maps is ignored',
        'look at reduce_zero_label and at the values of the maps',
        whole=True,
    ),
    'remap_all': Kind(
        'error',
        'all labels are ignored, because metainfo.classes selects other classes of the data set type',
        "for your own classes use type='BaseSegDataset' (configs/_base_/datasets/own_segmentation.py)",
        whole=True,
    ),
    'remap_part': Kind(
        'note',
        'a part of the labels is ignored, because metainfo.classes selects other classes',
        'nothing, if this is intended',
        whole=True,
    ),
    'zero_label': Kind(
        'error',
        'reduce_zero_label of the pipeline is not that of the data set',
        'set both to the same',
        whole=True,
    ),
}
CLASSES = {
    'few_outputs': Kind(
        'error',
        'the model has fewer classes than the data set',
        'set num_classes, or metainfo of the data set',
        whole=True,
    ),
    'many_outputs': Kind(
        'warning',
        'the model has more classes than the data set',
        'set num_classes, or metainfo of the data set',
        whole=True,
    ),
}
COCO_FILE = {
    'json': Kind('error', 'the annotation file cannot be read', 'export it again', whole=True),
    'sections': Kind(
        'error',
        'parts of the annotation file that are missing or not a list',
        "COCO's file is an object with lists images, annotations and categories",
    ),
    'image_keys': Kind(
        'error',
        'images whose id, file_name, width or height is missing or of a wrong type',
        'add them',
    ),
    'annotation_keys': Kind(
        'error',
        'annotations whose id, image_id, category_id, bbox or area is missing or of a wrong type',
        'add them',
    ),
    'category_keys': Kind(
        'error', 'categories whose id or name is missing or of a wrong type', 'add them'
    ),
    'crowd_key': Kind(
        'error', 'annotations without iscrowd, which evaluation reads', 'add iscrowd: 0'
    ),
    'repeated_image': Kind('error', 'image ids that are given more than once', 'renumber them'),
    'repeated_file': Kind(
        'warning', 'files that are named by more than one image', 'join their annotations'
    ),
    'repeated_annotation': Kind(
        'error', 'annotation ids that are given more than once', 'renumber them'
    ),
    'repeated_category': Kind(
        'error', 'category ids or names that are given more than once', 'join them'
    ),
    'unknown_image': Kind(
        'error', 'annotations of images that are not in the file', 'remove them, or add the images'
    ),
    'unknown_category': Kind(
        'error', 'annotations of categories that are not in the file', 'add the categories'
    ),
    'missing_class': Kind(
        'error',
        'classes of the config that are not a category of the file, so that MMDetection shifts the others',
        'set metainfo=dict(classes=...) of the data set to the names in the file',
    ),
    'ignored_category': Kind(
        'warning',
        'categories with annotations that are not a class of the config: MMDetection silently ignores them',
        'set metainfo=dict(classes=...) of the data set to the names in the file',
    ),
    'class_order': Kind(
        'error',
        'the order of the categories is not that of the config: MMDetection uses the order of the file, '
        'so that names are exchanged',
        'put metainfo.classes into the order of the file',
        whole=True,
    ),
    'no_boxes': Kind(
        'error',
        'no box that can be trained on',
        'look at the other errors and at metainfo',
        whole=True,
    ),
    'image_size': Kind(
        'error',
        'images whose size is not that in the annotation file',
        'export the file for these images',
    ),
}
COCO_SHAPES = {
    'box_form': Kind('error', 'boxes that are not four finite numbers', 'correct or remove them'),
    'box_negative': Kind(
        'error',
        'boxes of negative width or height',
        'a box is [x, y, width, height]',
        few='warning',
    ),
    'box_degenerate': Kind(
        'error',
        'boxes of less than one pixel, or with an area of 0, which MMDetection silently drops',
        'remove them',
        few='warning',
    ),
    'box_outside': Kind(
        'error',
        'boxes that lie outside of the image',
        'correct or remove them',
        few='warning',
    ),
    'box_over_edge': Kind(
        'warning',
        'boxes that reach over the edge of the image',
        'cut them at the edge',
    ),
    'boxes_normalised': Kind(
        'error',
        'the boxes lie between 0 and 1, as if divided by the size of the image',
        'multiply by width and height: a box is in pixels',
        whole=True,
    ),
    'boxes_xyxy': Kind(
        'error',
        'the boxes look like [x1, y1, x2, y2]',
        'a box is [x, y, width, height]',
        whole=True,
    ),
    'box_mask': Kind(
        'warning', 'boxes that do not fit their polygons', 'compute one from the other'
    ),
    'no_mask': Kind(
        'error', 'annotations without a mask, although this config trains masks', 'add segmentation'
    ),
    'polygon': Kind(
        'error',
        'polygons that are not at least three points of finite numbers',
        'correct or remove them',
        few='warning',
    ),
    'polygon_outside': Kind(
        'warning', 'polygons that reach over the edge of the image', 'cut them at the edge'
    ),
    'rle_size': Kind(
        'error', 'RLE masks whose size is not that of their image', 'size is [height, width]'
    ),
    'rle': Kind('error', 'RLE masks that cannot be decoded', 'encode them with pycocotools'),
}
KINDS: dict[str, Kind] = {**FILES, **SEGMENTATION, **CLASSES, **COCO_FILE, **COCO_SHAPES}
