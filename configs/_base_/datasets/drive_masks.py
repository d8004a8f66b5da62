_base_ = './drive.py'

# Validation searches the threshold whose Dice is best; a test takes the model's own.
val_evaluator = dict(_delete_=True, type='mmcoat.ThresholdSearch')
