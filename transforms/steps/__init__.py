"""Steps of a pipeline that stay within one format: repairs, look-ups, and what may go on at all."""
