"""What a plug-in has to be, where it is found, and whose fault it is when it fails."""
