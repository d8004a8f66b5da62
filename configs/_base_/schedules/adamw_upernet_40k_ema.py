_base_ = './adamw_upernet_40k.py'

# Evaluated, and saved as 'state_dict', are averaged weights: over about the last 1000 iterations.
custom_hooks = [dict(type='EMAHook', momentum=0.001)]
