_base_ = './adamw_upernet_40k.py'

# The evaluated weights, saved as 'state_dict', are averages over about the last 1000 iterations.
custom_hooks = [dict(type='EMAHook', momentum=0.001)]
