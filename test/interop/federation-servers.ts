import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { collect, type Output, stopped } from '../support/programs.js'

/*
 * Other people's XMPP servers as Debian has them, each as a process of its own in a folder of its own; nothing of the
 * machine's own services is touched.
 */

/** How servers prove who they are to each other. */
export type Trust = 'clear' | 'dialback' | 'external'

export interface Setting {
  readonly domain: string
  readonly c2sPort: number
  readonly s2sPort: number
  readonly trust: Trust
  /** Certificate and key of the domain, in one file. */
  readonly certfile: string
  /** Whom the server trusts. */
  readonly cacertfile: string
  /** Our server: where the other one finds it. */
  readonly ours: { readonly domain: string; readonly port: number }
  /** Both directions may share a connection (XEP-0288), where the server can do that. */
  readonly bidi?: boolean
  /** A name server that knows all domains, on this port of 127.0.0.1. */
  readonly dnsPort: number
}

export interface OtherServer {
  stop(): Promise<void>
  readonly output: Output
}

export interface Kind {
  readonly name: string
  /** What is missing to run it, if something is. */
  missing(): string | undefined
  start(setting: Setting): Promise<OtherServer>
}

const absent = (path: string) => (existsSync(path) ? undefined : `${path} is missing: run scripts/install-peers.sh`)

async function launch(
  setting: Setting,
  program: string,
  args: (folder: string) => readonly string[],
  env: (folder: string) => NodeJS.ProcessEnv,
  prepare: (folder: string) => void,
): Promise<OtherServer> {
  const folder = mkdtempSync(join(tmpdir(), 'meerkat-federation-'))
  prepare(folder)
  const child: ChildProcessWithoutNullStreams = spawn(program, args(folder), {
    cwd: folder,
    env: { ...process.env, HOME: folder, ...env(folder) },
  })
  const output = collect(child)
  const stop = async () => {
    await stopped(child)
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    for (const port of [setting.c2sPort, setting.s2sPort]) await Promise.race([listens(port), output.ended])
  } catch (error) {
    await stop()
    throw error
  }
  return { output, stop }
}

/** Waits until somebody listens on the port. */
async function listens(port: number): Promise<void> {
  const deadline = Date.now() + 60_000
  for (;;) {
    const isOpen = await new Promise<boolean>(resolve => {
      const socket = net.connect(port, '127.0.0.1', () => resolve(true))
      socket.on('error', () => resolve(false))
      socket.on('connect', () => socket.destroy())
    })
    if (isOpen) return
    if (Date.now() > deadline) throw new Error(`nobody listens on port ${port}`)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}

export const prosody: Kind = {
  name: 'Prosody',
  missing: () => absent('/usr/bin/prosody'),
  start: setting =>
    launch(
      setting,
      '/usr/bin/prosody',
      folder => ['-F', '--config', join(folder, 'prosody.cfg.lua')],
      () => ({}),
      folder => {
        mkdirSync(join(folder, 'data'))
        mkdirSync(join(folder, 'plugins'))
        writeFileSync(join(folder, 'plugins/mod_test_addresses.lua'), prosodyAddresses(setting))
        writeFileSync(join(folder, 'prosody.cfg.lua'), prosodyConfig(setting, folder))
      },
    ),
}

/** Debian's Prosody asks the machine's name server only: our domain is told to it in its own way. */
const prosodyAddresses = ({ ours }: Setting) => `
module:set_global();
local service = require "net.resolvers.service";
local basic = require "net.resolvers.basic";
local new = service.new;
service.new = function (host, name, protocol, extra)
  if host ~= "${ours.domain}" then return new(host, name, protocol, extra); end
  if name == "xmpp-server" then return basic.new("127.0.0.1", ${ours.port}, protocol, extra); end
  return { next = function (_, callback) callback(nil); end };
end
`

const prosodyConfig = ({ domain, c2sPort, s2sPort, trust, certfile, cacertfile, bidi }: Setting, folder: string) => `
run_as_root = ${process.getuid?.() === 0};
daemonize = false;
pidfile = "${join(folder, 'prosody.pid')}";
data_path = "${join(folder, 'data')}";
plugin_paths = { "${join(folder, 'plugins')}" };
log = { { levels = { min = "debug" }, to = "console" } };
network_backend = "epoll";
modules_enabled = { "posix", "roster", "saslauth", ${trust === 'clear' ? '' : '"tls", '}${bidi ? '"s2s_bidi", ' : ''}"dialback", "disco", "ping", "register_ibr", "test_addresses" };
interfaces = { "127.0.0.1" };
c2s_ports = { ${c2sPort} };
s2s_ports = { ${s2sPort} };
s2s_direct_tls_ports = { };
c2s_direct_tls_ports = { };
c2s_require_encryption = false;
s2s_require_encryption = ${trust !== 'clear'};
s2s_secure_auth = ${trust === 'external'};
allow_unencrypted_plain_auth = true;
allow_registration = true;
storage = "internal";
authentication = "internal_hashed";
ssl = { key = "${certfile}"; certificate = "${certfile}"; cafile = "${cacertfile}"; };
VirtualHost "${domain}"
`

export const ejabberd: Kind = {
  name: 'ejabberd',
  missing: () => absent('/usr/bin/erl') ?? absent('/usr/sbin/ejabberdctl'),
  start: setting =>
    launch(
      setting,
      '/usr/bin/erl',
      folder => [
        ...['+sbwt', 'none', '+sbwtdcpu', 'none', '+sbwtdio', 'none', '-noinput'],
        ...['-mnesia', 'dir', JSON.stringify(join(folder, 'mnesia')), '-s', 'ejabberd'],
      ],
      folder => ({
        ERL_LIBS: /ERL_LIBS='?([^'\s]+)/.exec(readFileSync('/usr/sbin/ejabberdctl', 'utf8'))?.[1],
        ERL_INETRC: join(folder, 'inetrc'),
        ERL_CRASH_DUMP: join(folder, 'crash.dump'),
        EJABBERD_CONFIG_PATH: join(folder, 'ejabberd.yml'),
        EJABBERD_LOG_PATH: join(folder, 'ejabberd.log'),
      }),
      folder => {
        mkdirSync(join(folder, 'mnesia'))
        // Without the line about resolv.conf, that file's servers are asked instead.
        const inetrc = ['{lookup,[dns]}.', '{resolv_conf,""}.', `{nameserver,{127,0,0,1},${setting.dnsPort}}.`, '']
        writeFileSync(join(folder, 'inetrc'), inetrc.join('\n'))
        writeFileSync(join(folder, 'ejabberd.yml'), ejabberdConfig(setting))
      },
    ),
}

const ejabberdConfig = ({ domain, c2sPort, s2sPort, trust, certfile, cacertfile }: Setting) => `
hosts: ["${domain}"]
loglevel: debug
certfiles: ["${certfile}"]
ca_file: "${cacertfile}"
auth_method: internal
auth_password_format: scram
s2s_use_starttls: ${trust === 'clear' ? 'false' : 'required'}
s2s_cafile: "${cacertfile}"
outgoing_s2s_families: [ipv4]
access_rules:
  register: { allow: all }
listen:
  - { port: ${c2sPort}, ip: "127.0.0.1", module: ejabberd_c2s, starttls: true }
  - { port: ${s2sPort}, ip: "127.0.0.1", module: ejabberd_s2s_in }
modules:
  mod_disco: {}
  mod_ping: {}
  mod_register: { access: all, access_from: all, ip_access: all }
  mod_roster: {}
  mod_s2s_dialback: {}
registration_timeout: infinity
`
