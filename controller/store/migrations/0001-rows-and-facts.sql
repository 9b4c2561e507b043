-- The current state of every entity. Bodies are packed messages of proto/row.proto; the columns
-- beside them are what lists filter and order by.
CREATE TABLE row (
    kind INTEGER NOT NULL,            -- RowKind of proto/row.proto
    key TEXT NOT NULL,
    pipeline TEXT,                    -- NULL when it belongs to none
    execution TEXT,                   -- NULL when it belongs to none
    ord INTEGER NOT NULL,             -- lists are newest first by this; 0: listed by key
    live INTEGER NOT NULL,            -- 1: loaded at start
    body BLOB NOT NULL,
    PRIMARY KEY (kind, key)
);

-- Restart reads these rows only, however long the history is.
CREATE INDEX row_live ON row (kind, key) WHERE live = 1;

CREATE INDEX row_by_pipeline ON row (kind, pipeline, ord) WHERE pipeline IS NOT NULL;
CREATE INDEX row_by_execution ON row (kind, execution, ord) WHERE execution IS NOT NULL;
CREATE INDEX row_by_order ON row (kind, ord) WHERE ord > 0;

-- What happened, in order: timeline, audit trail and event stream. Never changed.
CREATE TABLE fact (
    seq INTEGER PRIMARY KEY,          -- 1, 2, 3...
    at_ms INTEGER NOT NULL,
    pipeline TEXT,                    -- NULL when it belongs to none
    execution TEXT,                   -- NULL when it belongs to none
    body BLOB NOT NULL                -- packed Fact of proto/fact.proto
);

-- seq is the row id, which ends every index entry: these are ordered by it as well.
CREATE INDEX fact_by_execution ON fact (execution) WHERE execution IS NOT NULL;
CREATE INDEX fact_by_pipeline ON fact (pipeline) WHERE pipeline IS NOT NULL;
