"""Large objects: audio, video and files by key."""
