"""The chat without a screen: conversation, settings, commands. The terminal's two forms, TUI and lines, both front it.

settings       what a chat is set to
conversation   a session, what answers it, and every way to take a turn
permissions    which calls run, which are asked about
commands       names and forms of the / commands, and how they complete
front          what a verb needs of a screen
verbs          what the commands do
shell          the user's own commands, by !
"""
