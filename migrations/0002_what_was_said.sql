-- What was said under an id that the asker chose, so that the same id with something else is
-- refused also after a restart. What came of it is in the log, under the same id.
create table asked (
    request text primary key,
    -- SHA-256 of what was said, in hex.
    said    text not null check (length(said) = 64)
) strict, without rowid;
