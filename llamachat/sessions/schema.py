"""The tables of the store, as numbered migrations. A migration that was ever released is never changed: add one.

``user_version`` counts the migrations that were applied. Rows of ``nodes`` are only ever inserted; what may change in
them are the bookmarks and notes: visited, name, flag, turn.
"""

APPLICATION_ID = 0x6C6C6368  # "llch", so that another program's database is not taken for ours

_FIRST = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, cwd TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL, head TEXT
);
CREATE INDEX sessions_updated ON sessions (updated);

-- What many messages have in common; id is a hash of data.
CREATE TABLE conditions (id TEXT PRIMARY KEY, data TEXT NOT NULL);

CREATE TABLE nodes (
    seq INTEGER PRIMARY KEY,                     -- order of making
    session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    parent TEXT,
    kind TEXT NOT NULL,
    origin TEXT,
    created REAL NOT NULL,
    role TEXT NOT NULL,
    content TEXT NOT NULL,                       -- readable and searched; exact where it alone would lose something:
    exact TEXT,                                  -- JSON of content that is in pieces, or no Unicode text
    calls TEXT,                                  -- JSON
    stop TEXT,
    token_ids BLOB,                              -- uint32, little endian
    context TEXT,                                -- JSON
    conditions TEXT REFERENCES conditions (id),
    outcome TEXT,                                -- JSON: the call that a tool's message answers
    artifacts TEXT,                              -- JSON: files in artifacts/ beside the store, by their hash
    turn TEXT,                                   -- JSON: how the turn ended, at its last message
    name TEXT NOT NULL DEFAULT '',
    flag TEXT NOT NULL DEFAULT '',
    visited INTEGER NOT NULL DEFAULT 0,          -- grows with every visit: of siblings, the largest was seen last
    UNIQUE (session, id),
    -- No cascade here: SQLite stops after 1,000 levels, and dialogs are longer.
    FOREIGN KEY (session, parent) REFERENCES nodes (session, id)
);
CREATE INDEX nodes_below ON nodes (session, parent);

-- What is being written just now: the node that shall stand there if the program ends, and text that came since.
CREATE TABLE drafts (
    seq INTEGER PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    id TEXT NOT NULL, node TEXT NOT NULL, UNIQUE (session, id)
);
CREATE TABLE chunks (seq INTEGER PRIMARY KEY, session TEXT NOT NULL, draft TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX chunks_of ON chunks (session, draft);

CREATE VIRTUAL TABLE words USING fts5 (
    content, content = 'nodes', content_rowid = 'seq', tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TRIGGER nodes_said AFTER INSERT ON nodes BEGIN
    INSERT INTO words (rowid, content) VALUES (new.seq, new.content);
END;
CREATE TRIGGER nodes_gone AFTER DELETE ON nodes BEGIN
    INSERT INTO words (words, rowid, content) VALUES ('delete', old.seq, old.content);
END;
"""

MIGRATIONS = (_FIRST,)
TABLES = ("sessions", "conditions", "nodes", "drafts", "chunks")
