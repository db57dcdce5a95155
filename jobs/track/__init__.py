"""Trackers: progress and numbers of a run in Weights & Biases or MLflow. A tracker that fails never fails the run."""
