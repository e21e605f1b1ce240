"""People in the loop: which pictures to ask about, in which files, and what the answers say."""
