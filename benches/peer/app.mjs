// What somebody would write instead: a Slack app in Bolt that takes a vote, looks whether whoever
// votes may, keeps it in SQLite before it acknowledges, and answers them.
//
// node app.mjs PORT DIRECTORY SLACK_API_URL; the secrets come from BOT and SIGNING.

import { DatabaseSync } from "node:sqlite";
import bolt from "@slack/bolt";

const [port, directory, slackApiUrl] = process.argv.slice(2);

const log = new DatabaseSync(`${directory}/votes.db`);
log.exec("pragma journal_mode = wal");
log.exec("pragma synchronous = full");
log.exec("create table if not exists vote (id text primary key, at text, who text, what text) strict");
const keep = log.prepare("insert into vote (id, at, who, what) values (?, ?, ?, ?) on conflict do nothing");

const members = { qa: new Set(["UQUINN", "UDAVE"]) };

const app = new bolt.App({
  token: process.env.BOT,
  signingSecret: process.env.SIGNING,
  endpoints: "/slack/interactions",
  clientOptions: { slackApiUrl, retryConfig: { retries: 0 } },
  logLevel: "error",
});

app.action(/^press-/, async ({ ack, action, body, client }) => {
  const role = /--as (\w+)/.exec(action.value)?.[1];
  const may = members[role]?.has(body.user.id) ?? false;
  if (may) {
    keep.run(body.trigger_id, new Date().toISOString(), body.user.id, action.value);
  }
  await ack();
  const text = may ? "Recorded: *GO* for QA." : `You may not vote for ${role}. Nothing was changed.`;
  await client.chat.postEphemeral({ channel: body.channel.id, user: body.user.id, text });
});

await app.start(Number(port));
