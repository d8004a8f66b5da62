_base_ = [
    './_base_/models/upernet_coat.py',
    './_base_/datasets/ade20k_512.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/runtimes/mmseg.py',
]
