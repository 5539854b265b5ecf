-- The file says whose it is ("tmin"): a stranger's database is refused before it is touched.
pragma application_id = 1953327470;

-- What happened, in the order in which it happened. Nothing here is ever changed or removed.
create table log (
    -- Gapless from 1: a missing number is a missing entry.
    seq     integer primary key,
    -- RFC 3339 in UTC with microseconds: one spelling only, since these very bytes are hashed.
    at      text    not null,
    -- JSON, as it was hashed.
    actor   text    not null,
    -- What asked for it: the same request twice finds its own entries here.
    request text    not null,
    release text,
    -- The version of the event's shape, so that old entries can be read for ever.
    schema  integer not null,
    -- JSON, as it was hashed: never reformatted.
    event   text    not null,
    -- SHA-256 over the hash before and all of the above, in hex.
    hash    text    not null check (length(hash) = 64)
) strict;

create index log_by_request on log (request);
create index log_by_release on log (release) where release is not null;

-- A slip of ours must not rewrite history. Whoever drops these triggers is found by the hashes.
create trigger log_is_never_changed before update on log
begin
    select raise(abort, 'the log is append-only: entries are never changed');
end;

create trigger log_is_never_shortened before delete on log
begin
    select raise(abort, 'the log is append-only: entries are never removed');
end;

-- "insert or replace" removes a row without asking the trigger above, and a gap would look like a
-- removed entry: so only the next number is taken.
create trigger log_takes_the_next_number before insert on log
when new.seq is not (select coalesce(max(seq), 0) + 1 from log)
begin
    select raise(abort, 'the log is append-only: only the next number is taken');
end;

-- What the world is still to be asked. A row is written with the entry that wants it, and removed
-- with the entry that tells how it went.
create table outbox (
    -- Keeps the order of insertion within one entry; a bare rowid would not survive a vacuum.
    position integer primary key,
    -- The same on each try: the neighbour gets it as its idempotency key.
    key      text    not null unique,
    -- Effects of one lane are delivered one after the other.
    lane     text    not null,
    seq      integer not null references log (seq),
    -- "trying" is durable before the call: found at start, it means that the outcome is unknown.
    state    text    not null default 'pending' check (state in ('pending', 'trying')),
    tries    integer not null default 0 check (tries >= 0),
    -- Not before this instant; null is at once.
    due_at   text,
    -- Why the last try did not do it.
    failure  text,
    effect   text    not null
) strict;

create index outbox_by_seq on outbox (seq, position);

-- One row for each card however often it changes: it is rendered when it is written, so only the
-- latest wish counts.
create table card (
    key         text    primary key,
    lane        text    not null,
    wanted_seq  integer not null,
    written_seq integer not null default 0
) strict;

create index card_behind on card (wanted_seq) where written_seq < wanted_seq;

-- Written by the readiness probe: the only honest way to know that the disk takes a write.
create table pulse (
    id    integer primary key check (id = 1),
    beats integer not null
) strict;

insert into pulse (id, beats) values (1, 0);
