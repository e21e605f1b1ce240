"""What people read: HTML reports, the dataset card, the model card, Croissant."""
