"""Backups that run by themselves: when, what after what, what is remembered, who is told.

What lives here: the timetable, one run of it, the loop around runs, their state, webhook, metrics
and the judgement of health. Must not know: terminals, or what lies below `dbsync.api`.
"""
