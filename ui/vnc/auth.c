/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who may come in: protocol versions (RFC 6143, 7.1.1), security types (7.1.2 and 7.2), VeNCrypt, SASL. Written as a
 * conversation: it runs in the client's fiber, and what it waits for is bounded in bytes here and in time by the
 * deadline that the connection has until it is done. */
#include "ui/vnc/des.h"
#include "ui/vnc/vnc-private.h"

#include "engine/crypto/authz.h"

#include <stdio.h>
#include <sys/random.h>

#define SASL_NAME_MAX 100
#define SASL_DATA_MAX 65536
#define PLAIN_MAX 1024
#define TLS_STRENGTH 256

enum
{ /* of VeNCrypt */
  PLAIN = 256,
  TLS_NONE = 257,
  TLS_VNC = 258,
  TLS_PLAIN = 259,
  X509_NONE = 260,
  X509_VNC = 261,
  X509_PLAIN = 262,
  TLS_SASL = 263,
  X509_SASL = 264
};

/* --- talking --------------------------------------------------------------------------------------------- */

static void
say_u8 (VncClient *c, uint8_t value)
{
  vnc_wire_write (&c->wire, &value, 1);
}

static void
say_u32 (VncClient *c, uint32_t value)
{
  uint8_t bytes[4];

  vm_store_be32 (bytes, value);
  vnc_wire_write (&c->wire, bytes, 4);
}

static bool
hear_u8 (VncClient *c, uint8_t *value)
{
  return vnc_wire_read (&c->wire, value, 1);
}

static bool
hear_u32 (VncClient *c, uint32_t *value)
{
  uint8_t bytes[4];

  if (!vnc_wire_read (&c->wire, bytes, 4))
    return false;
  *value = vm_load_be32 (bytes);
  return true;
}

static void
say_reason (VncClient *c, const char *reason)
{
  say_u32 (c, (uint32_t) strlen (reason));
  vnc_wire_write (&c->wire, reason, strlen (reason));
}

/* SecurityResult; always false. */
static bool
refuse (VncClient *c)
{
  say_u32 (c, 1);
  if (c->minor >= 8)
    say_reason (c, "Authentication failed");
  return false;
}

static bool
accept_client (VncClient *c)
{
  say_u32 (c, 0);
  return true;
}

/* --- passwords --------------------------------------------------------------------------------------------- */

static bool
password_holds (const VncServer *s)
{
  return s->password && *s->password && (s->expires == INT64_MAX || g_get_real_time () / G_USEC_PER_SEC < s->expires);
}

static bool
log_in_vnc (VncClient *c)
{
  uint8_t challenge[VNC_CHALLENGE], wanted[VNC_CHALLENGE], answer[VNC_CHALLENGE], differ = 0;

  if (getrandom (challenge, sizeof challenge, 0) != sizeof challenge)
    return refuse (c);
  vnc_wire_write (&c->wire, challenge, sizeof challenge);
  if (!vnc_wire_read (&c->wire, answer, sizeof answer))
    return false;
  if (!password_holds (c->server))
    return refuse (c);
  vnc_des_answer (c->server->password, challenge, wanted);
  for (unsigned i = 0; i < VNC_CHALLENGE; i++)
    differ |= wanted[i] ^ answer[i];
  return differ ? refuse (c) : accept_client (c);
}

static bool
log_in_none (VncClient *c)
{
  if (c->minor >= 8)
    say_u32 (c, 0);
  return true;
}

/* --- SASL --------------------------------------------------------------------------------------------------- */

/* The library may ask files, daemons and directories: on a worker, one at a time. */
typedef struct SaslCall
{
  VncClient *client;
  const char *mechanism, *data, *user, *password;
  size_t len;
  VncSaslStep step;
  const char *reply;
  size_t reply_len;
  char *local, *remote;
  GError *error;
} SaslCall;

static void
do_open (void *opaque)
{
  SaslCall *call = opaque;
  VncClient *c = call->client;
  /* A Unix socket is as good as what TLS hides. */
  unsigned strength = c->wire.tls || !strcmp (c->family, "unix") ? TLS_STRENGTH : 0;

  c->sasl = c->server->vnc->sasl->open (call->local, call->remote, strength, c->dname, &call->error);
}

static void
do_step (void *opaque)
{
  SaslCall *call = opaque;
  VncClient *c = call->client;

  call->step
      = c->server->vnc->sasl->step (c->sasl, call->mechanism, call->data, call->len, &call->reply, &call->reply_len);
}

static void
do_check (void *opaque)
{
  SaslCall *call = opaque;
  VncClient *c = call->client;

  call->step = c->server->vnc->sasl->check (c->sasl, call->user, call->password) ? VNC_SASL_DONE : VNC_SASL_REFUSED;
}

static void
call_sasl (SaslCall *call, VmPostFunc func)
{
  VmFiberMutex *mutex = &call->client->server->vnc->sasl_mutex;

  vm_fiber_mutex_lock (mutex);
  vm_fiber_work (func, call);
  vm_fiber_mutex_unlock (mutex);
}

static bool
open_sasl (VncClient *c)
{
  SaslCall call = { .client = c };

  if (strcmp (c->family, "unix") != 0)
    {
      call.local = g_strdup_printf ("%s;%s", c->server_host, c->server_service);
      call.remote = g_strdup_printf ("%s;%s", c->host, c->service);
    }
  call_sasl (&call, do_open);
  g_free (call.local);
  g_free (call.remote);
  g_clear_error (&call.error); /* the client is told nothing, the log must not be filled by strangers */
  return c->sasl != NULL;
}

static bool
name_is_allowed (VncClient *c)
{
  const char *id = c->server->options.sasl_authz;

  g_free (c->user);
  c->user = g_strdup (c->server->vnc->sasl->user (c->sasl));
  if (!c->user)
    return false;
  return !id || vnc_client_is_allowed (c, id, c->user);
}

/* One string of the client's: its length, its bytes with a 0 at the end that counts; NULL when there is none. */
static bool
hear_data (VncClient *c, char **data, uint32_t *len)
{
  *data = NULL;
  if (!hear_u32 (c, len) || *len > SASL_DATA_MAX)
    return false;
  if (!*len)
    return true;
  *data = g_malloc (*len + 1);
  (*data)[*len] = 0;
  if (!vnc_wire_read (&c->wire, *data, *len))
    return false;
  (*len)--;
  return true;
}

static void
say_data (VncClient *c, const char *data, size_t len)
{
  if (!data)
    {
      say_u32 (c, 0);
      return;
    }
  say_u32 (c, (uint32_t) len + 1);
  vnc_wire_write (&c->wire, data, len);
  say_u8 (c, 0);
}

static bool
hear_mechanism (VncClient *c, const char *offered, char **name)
{
  g_auto (GStrv) list = g_strsplit (offered, ",", -1);
  uint32_t len;

  if (!hear_u32 (c, &len) || !len || len > SASL_NAME_MAX)
    return false;
  *name = g_malloc0 (len + 1);
  return vnc_wire_read (&c->wire, *name, len) && strlen (*name) == len
         && g_strv_contains ((const char *const *) list, *name);
}

/* 1: in, 0: refused, -1: the conversation is over */
static int
converse (VncClient *c, const char *offered)
{
  g_autofree char *mechanism = NULL;
  SaslCall call = { .client = c };

  if (!hear_mechanism (c, offered, &mechanism))
    return -1;
  for (unsigned round = 0; round < 32; round++)
    {
      g_autofree char *data = NULL;
      uint32_t len;
      if (!hear_data (c, &data, &len))
        return -1;
      call.mechanism = mechanism;
      call.data = data;
      call.len = len;
      call_sasl (&call, do_step);
      if (call.step == VNC_SASL_REFUSED || call.reply_len > SASL_DATA_MAX)
        return 0;
      say_data (c, call.reply, call.reply_len);
      say_u8 (c, call.step == VNC_SASL_DONE);
      if (call.step == VNC_SASL_DONE)
        return 1;
    }
  return -1;
}

static bool
log_in_sasl (VncClient *c)
{
  const char *offered;
  int in;

  if (!open_sasl (c) || !(offered = c->server->vnc->sasl->mechanisms (c->sasl)) || !*offered)
    return false;
  say_reason (c, offered);
  in = converse (c, offered);
  if (in < 0)
    return false;
  /* What the other end sees in the clear must at least have been worth a name. */
  bool hidden = c->wire.tls || !strcmp (c->family, "unix") || c->server->vnc->sasl->strength (c->sasl) >= 56;
  if (!in || !hidden || !name_is_allowed (c))
    return refuse (c);
  accept_client (c);
  if (!c->wire.tls && c->server->vnc->sasl->strength (c->sasl))
    c->wire.sasl = c->sasl; /* from here on */
  return true;
}

/* User and password as they are, under TLS only: for viewers that know no SASL. */
static bool
log_in_plain (VncClient *c)
{
  uint32_t user_len, password_len;

  if (!hear_u32 (c, &user_len) || !hear_u32 (c, &password_len) || user_len > PLAIN_MAX || password_len > PLAIN_MAX)
    return false;
  g_autofree char *user = g_malloc0 (user_len + 1), *password = g_malloc0 (password_len + 1);
  SaslCall call = { .client = c, .user = user, .password = password };
  if (!vnc_wire_read (&c->wire, user, user_len) || !vnc_wire_read (&c->wire, password, password_len) || !open_sasl (c))
    return false;
  call_sasl (&call, do_check);
  explicit_bzero (password, password_len);
  if (call.step != VNC_SASL_DONE)
    return refuse (c);
  g_free (c->user);
  c->user = g_strdup (user);
  const char *id = c->server->options.sasl_authz;
  return !id || vnc_client_is_allowed (c, id, user) ? accept_client (c) : refuse (c);
}

/* --- VeNCrypt ------------------------------------------------------------------------------------------------ */

static unsigned
list_subtypes (const VncServer *s, uint32_t types[2])
{
  bool x509 = vm_tls_creds_are_x509 (s->options.creds);

  if (s->options.sasl)
    {
      types[0] = x509 ? X509_SASL : TLS_SASL;
      types[1] = x509 ? X509_PLAIN : TLS_PLAIN;
      return 2;
    }
  if (s->options.password)
    types[0] = x509 ? X509_VNC : TLS_VNC;
  else
    types[0] = x509 ? X509_NONE : TLS_NONE;
  return 1;
}

static bool
start_tls (VncClient *c)
{
  const VncOptions *o = &c->server->options;

  /* A client that is refused is told by TLS; others need not know. */
  if (!vnc_wire_start_tls (&c->wire, o->creds, NULL))
    return false;
  c->dname = g_strdup (vm_tls_session_peer (c->wire.tls));
  return !o->tls_authz || (c->dname && vnc_client_is_allowed (c, o->tls_authz, c->dname));
}

static bool
log_in_subtype (VncClient *c, uint32_t type)
{
  switch (type)
    {
    case TLS_NONE:
    case X509_NONE:
      return log_in_none (c);
    case TLS_VNC:
    case X509_VNC:
      return log_in_vnc (c);
    case TLS_SASL:
    case X509_SASL:
      return log_in_sasl (c);
    default:
      return log_in_plain (c);
    }
}

static bool
log_in_vencrypt (VncClient *c)
{
  uint32_t types[2], wanted;
  unsigned n = list_subtypes (c->server, types);
  uint8_t version[2] = { 0, 2 };

  vnc_wire_write (&c->wire, version, sizeof version);
  if (!vnc_wire_read (&c->wire, version, sizeof version))
    return false;
  bool known = version[0] == 0 && version[1] == 2;
  say_u8 (c, !known);
  if (!known)
    return false;
  say_u8 (c, (uint8_t) n);
  for (unsigned i = 0; i < n; i++)
    say_u32 (c, types[i]);
  if (!hear_u32 (c, &wanted))
    return false;
  bool offered = wanted == types[0] || (n > 1 && wanted == types[1]);
  say_u8 (c, offered);
  return offered && start_tls (c) && log_in_subtype (c, wanted);
}

/* --- the conversation ------------------------------------------------------------------------------------------ */

static VncAuth
auth_of (const VncClient *c)
{
  const VncOptions *o = &c->server->options;

  if (c->skip_auth)
    return VNC_AUTH_NONE;
  if (c->wire.tls) /* WebSocket within TLS: that is done */
    return o->sasl ? VNC_AUTH_SASL : o->password ? VNC_AUTH_VNC : VNC_AUTH_NONE;
  return vnc_server_auth (c->server);
}

static bool
agree_on_version (VncClient *c)
{
  char version[13] = "RFB 003.008\n";
  unsigned major, minor;

  vnc_wire_write (&c->wire, version, 12);
  if (!vnc_wire_read (&c->wire, version, 12) || sscanf (version, "RFB %03u.%03u\n", &major, &minor) != 2 || major != 3)
    return false;
  vnc_client_heard (c);
  /* 3.4 to 3.6 were never defined; those who say so mean 3.3. */
  c->minor = minor >= 8 ? 8 : minor == 7 ? 7 : 3;
  return minor >= 3;
}

static bool
agree_on_type (VncClient *c, VncAuth auth)
{
  uint8_t chosen;

  if (c->minor >= 7)
    {
      say_u8 (c, 1);
      say_u8 (c, (uint8_t) auth);
      if (!hear_u8 (c, &chosen))
        return false;
      return chosen == auth || refuse (c);
    }
  if (auth == VNC_AUTH_NONE || auth == VNC_AUTH_VNC)
    {
      say_u32 (c, auth);
      return true;
    }
  say_u32 (c, VNC_AUTH_INVALID);
  say_reason (c, "This server needs a newer version of the protocol");
  return false;
}

bool
vnc_client_log_in (VncClient *c)
{
  if (c->websocket)
    {
      if (c->server->options.creds && !start_tls (c))
        return false;
      if (!vnc_wire_start_websocket (&c->wire))
        return false;
    }
  if (!agree_on_version (c))
    return false;
  VncAuth auth = auth_of (c);
  if (!agree_on_type (c, auth))
    return false;
  switch (auth)
    {
    case VNC_AUTH_NONE:
      return log_in_none (c);
    case VNC_AUTH_VNC:
      return log_in_vnc (c);
    case VNC_AUTH_VENCRYPT:
      return log_in_vencrypt (c);
    case VNC_AUTH_SASL:
      return log_in_sasl (c);
    default:
      return false;
    }
}

/* --- questions to the engine ------------------------------------------------------------------------------------ */

/* Objects and devices belong to the engine's thread. It answers by posting here, where whoever asked may be gone. */
typedef struct Question
{
  VmMachine *machine;
  VmLoop *loop;
  VncWire *wire; /* ours; NULL: nobody waits any more */
  char *id, *name;
  VmConsole *console; /* a reference; NULL: about a name */
  bool allowed, answered;
} Question;

static void
question_free (Question *q)
{
  if (q->console)
    vm_console_unref (q->console);
  g_free (q->id);
  g_free (q->name);
  g_free (q);
}

static void
answered (void *opaque)
{
  Question *q = opaque;

  q->answered = true;
  if (q->wire)
    vnc_wire_poke (q->wire);
  else
    question_free (q);
}

static void
ask (void *opaque)
{
  Question *q = opaque;

  if (!q->console) /* who is refused is told nothing */
    q->allowed = vm_authz_check (q->machine->env.root, q->id, q->name, NULL);
  else if (vm_display_console (q->machine->env.display, vm_console_index (q->console)) == q->console)
    vm_console_refresh_now (q->console);
  vm_loop_post (q->loop, answered, q);
}

static bool
wait_for_answer (VncClient *c, Question *q)
{
  q->machine = c->server->vnc->machine;
  q->loop = c->wire.loop;
  q->wire = &c->wire;
  vm_loop_post (q->machine->env.loop, ask, q);
  while (!q->answered && !c->wire.over)
    vnc_wire_wait (&c->wire);
  q->wire = NULL;
  if (!q->answered)
    return false;
  bool allowed = q->allowed;
  question_free (q);
  return allowed;
}

bool
vnc_client_is_allowed (VncClient *c, const char *id, const char *name)
{
  Question *q = g_new0 (Question, 1);

  q->id = g_strdup (id);
  q->name = g_strdup (name);
  return wait_for_answer (c, q);
}

void
vnc_client_refresh (VncClient *c, VmConsole *console)
{
  Question *q = g_new0 (Question, 1);

  q->console = vm_console_ref (console);
  wait_for_answer (c, q);
}
