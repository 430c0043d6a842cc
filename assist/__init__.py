"""Assessments and briefings: what the one who claims should know before they begin.

Nothing here sends, and nothing here is waited for by whoever hands a session off.
"""
