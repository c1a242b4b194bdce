"""AXIS 3: recovery from providers' failures: repair in retry in fallback, under one deadline. The only user of tenacity."""
