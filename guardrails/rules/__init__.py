"""One guardrail per file. [pure]"""
