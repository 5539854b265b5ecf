// A real Unleash on a PostgreSQL of its own, with one real client that polls it; on this machine
// alone. Tells where it is in a line of JSON, answers a line that names a flag with how many of a
// thousand users the client opens it for, and ends with its standard input, leaving nothing.

import { spawn, spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const ADMIN = '*:*.an-admin-token-that-nobody-may-read';
const CLIENT = '*:production.a-client-token';

const directory = mkdtempSync(join(tmpdir(), 'unleash-'));
let postgres;

// PostgreSQL ends at once and takes its children with it; there is nothing to save.
function end(status) {
    if (!postgres || postgres.exitCode !== null || postgres.signalCode !== null) process.exit(status);
    postgres.once('exit', () => process.exit(status));
    postgres.kill('SIGQUIT');
}
// Whoever else ends this process, such as a library that lost its database.
process.on('exit', () => {
    postgres?.kill('SIGQUIT');
    rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
});
const lines = createInterface({ input: process.stdin });
lines.on('close', () => end(0));
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => end(1));
const failed = (why) => {
    console.error(why);
    end(1);
};
process.on('uncaughtException', failed);
process.on('unhandledRejection', failed);

// PostgreSQL refuses to be root.
function nobody() {
    if (process.getuid() !== 0) return {};
    const id = (flag) => Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout);
    const [uid, gid] = [id('-u') || 65534, id('-g') || 65534];
    chownSync(directory, uid, gid);
    return { uid, gid };
}

// Debian keeps one folder for each version.
function programs() {
    const debian = '/usr/lib/postgresql';
    const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => b - a) : [];
    const found = versions.map((version) => join(debian, version, 'bin'));
    return found.find((bin) => existsSync(join(bin, 'initdb'))) ?? '';
}

async function startPostgres() {
    const as = { cwd: directory, ...nobody() };
    const [bin, data] = [programs(), join(directory, 'data')];
    const made = spawnSync(
        join(bin, 'initdb'),
        ['-D', data, '-U', 'unleash', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
        { ...as, encoding: 'utf8' },
    );
    if (made.status !== 0) throw new Error(`initdb: ${made.error ?? made.stderr}`);
    // No port at all: only a socket in its own folder. What a crash would lose is not missed.
    const careless = ['-c', 'fsync=off', '-c', 'synchronous_commit=off', '-c', 'full_page_writes=off'];
    const where = ['-D', data, '-k', directory, '-h', ''];
    postgres = spawn(join(bin, 'postgres'), [...where, ...careless], {
        ...as,
        stdio: ['ignore', 'ignore', 'pipe'],
    });
    await new Promise((ready, never) => {
        postgres.once('error', never);
        postgres.once('exit', () => never(new Error(`PostgreSQL ended: ${said}`)));
        let said = '';
        postgres.stderr.setEncoding('utf8').on('data', (text) => {
            said += text;
            if (said.includes('ready to accept connections')) ready();
        });
    });
}

const tools = createRequire(new URL('.tools/', import.meta.url));

async function startUnleash() {
    // Before it is loaded: it reads them then.
    Object.assign(process.env, { INIT_ADMIN_API_TOKENS: ADMIN, INIT_CLIENT_API_TOKENS: CLIENT });
    Object.assign(process.env, { SEND_TELEMETRY: 'false', CHECK_VERSION: 'false' });
    const server = await import(pathToFileURL(tools.resolve('unleash-server')));
    const { server: http } = await server.start({
        db: { host: directory, user: 'unleash', password: '', database: 'postgres', ssl: false },
        server: { host: '127.0.0.1', port: 0, gracefulShutdownEnable: false },
        logLevel: server.LogLevel.fatal,
    });
    if (!http.listening) await new Promise((ready) => http.once('listening', ready));
    return http.address().port;
}

async function startClient(url) {
    const { startUnleash: start } = tools('unleash-client');
    return start({
        url: `${url}/api/`,
        appName: 'shop',
        customHeaders: { Authorization: CLIENT },
        refreshInterval: 200,
        disableMetrics: true,
        backupPath: directory,
    });
}

await startPostgres();
const port = await startUnleash();
const client = await startClient(`http://127.0.0.1:${port}`);
const users = Array.from({ length: 1000 }, (_, number) => `user-${number}`);
lines.on('line', (flag) => {
    const open = users.filter((userId) => client.isEnabled(flag, { userId }));
    console.log(JSON.stringify({ open: open.length }));
});
console.log(JSON.stringify({ port, directory, admin: ADMIN, client: CLIENT, postgres: postgres.pid }));
