"""What joint fine-tuning is compared with, each with the interface of ``JointClassifier``."""
