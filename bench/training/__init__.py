"""What methods are made of: the Trainer, PPO, DPO, rewards and preference pairs. `settings` alone is free of torch."""
