_base_ = './drive.py'

# Validation searches the threshold with the best Dice; a test uses the model's threshold.
val_evaluator = dict(_delete_=True, type='mmcoat.ThresholdSearch')
