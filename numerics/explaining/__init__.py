"""Why did a solve end as it did, and what is kept of it?"""
