-- What was asked and cannot be decided yet, because its platform has still to say who asks. The
-- platform was told that we have it, so no crash may lose it. A row goes in the transaction that
-- decides it.
create table inbox (
    -- The request's id: what is delivered again is kept once.
    id    text primary key,
    at    text not null,
    -- JSON.
    heard text not null
) strict;
