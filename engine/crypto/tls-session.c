/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TLS sessions by GnuTLS. What is to be sent goes through a buffer of our own, so that a record that was made is
 * never made again, and the buffer never holds more than one record and a few short messages. */
#include "engine/crypto/tls-session.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <sys/socket.h>

#include "engine/crypto/authz.h"
#include "engine/crypto/tls-private.h"

#define OUT_MAX (64 * 1024) /* a peer that makes us talk and does not listen is not read from beyond this */
#define RECORD_MAX (16 * 1024)
#define HANDSHAKE_LIMIT 60 /* seconds */

struct VmTlsSession
{
  VmTlsCreds *creds;
  char *hostname, *authz, *peer;
  gnutls_session_t tls;
  VmTlsChannel channel;
  int fd;
  GByteArray *out; /* encrypted, on its way */
  bool established, broken;
  /* vm_tls_session_start() */
  VmLoop *loop;
  GSource *source, *limit;
  VmTlsDone done;
  void *done_opaque;
};

/* --- the channel --------------------------------------------------------------------------------- */

static ssize_t
fd_read (void *opaque, void *buf, size_t len)
{
  return recv (((VmTlsSession *) opaque)->fd, buf, len, MSG_DONTWAIT);
}

static ssize_t
fd_write (void *opaque, const void *buf, size_t len)
{
  return send (((VmTlsSession *) opaque)->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void
vm_tls_session_set_fd (VmTlsSession *s, int fd)
{
  s->fd = fd;
  s->channel = (VmTlsChannel){ fd_read, fd_write, s };
}

void
vm_tls_session_set_channel (VmTlsSession *s, const VmTlsChannel *channel)
{
  s->channel = *channel;
}

static ssize_t
pull (gnutls_transport_ptr_t opaque, void *buf, size_t len)
{
  VmTlsSession *s = opaque;
  ssize_t n = -1;

  if (s->out->len > OUT_MAX)
    errno = EAGAIN;
  else
    n = s->channel.read (s->channel.opaque, buf, len);
  if (n < 0)
    gnutls_transport_set_errno (s->tls, errno);
  return n;
}

static ssize_t
push (gnutls_transport_ptr_t opaque, const void *buf, size_t len)
{
  VmTlsSession *s = opaque;

  g_byte_array_append (s->out, buf, len);
  return len;
}

bool
vm_tls_session_flush (VmTlsSession *s)
{
  size_t sent = 0;

  while (sent < s->out->len && !s->broken)
    {
      ssize_t n = s->channel.write (s->channel.opaque, s->out->data + sent, s->out->len - sent);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0 && errno == EAGAIN)
        break;
      s->broken = n <= 0;
      sent += MAX (n, 0);
    }
  if (sent)
    g_byte_array_remove_range (s->out, 0, sent);
  if (s->broken) /* shows on the reading side */
    g_byte_array_set_size (s->out, 0);
  return s->out->len == 0;
}

/* --- making -------------------------------------------------------------------------------------- */

static bool
set_priority (VmTlsSession *s, GError **error)
{
  const VmTlsCredsClass *klass = vm_type_klass (s->creds->parent.type);
  const char *own = s->creds->priority, *more = klass->priority;
  g_autofree char *text = own && more ? g_strconcat (own, ":", more, NULL) : g_strdup (own);
  int err = text   ? gnutls_priority_set_direct (s->tls, text, NULL)
            : more ? gnutls_set_default_priority_append (s->tls, more, NULL, 0)
                   : gnutls_set_default_priority (s->tls);

  return err >= 0
         || vm_fail (error, "Unable to set TLS session priority %s: %s", text ? text : "", gnutls_strerror (err));
}

VmTlsSession *
vm_tls_session_new (VmTlsCreds *creds, const char *hostname, const char *authz, GError **error)
{
  const VmTlsCredsClass *klass = vm_type_klass (creds->parent.type);
  unsigned flags
      = (creds->endpoint == VM_TLS_SERVER ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL;

  if (!klass->apply || !creds->loaded)
    {
      vm_fail (error, "'%s' are no credentials of connections", creds->parent.id);
      return NULL;
    }
  VmTlsSession *s = g_new0 (VmTlsSession, 1);
  s->creds = creds;
  vm_object_ref (&creds->parent);
  s->hostname = g_strdup (hostname);
  s->authz = g_strdup (authz);
  s->fd = -1;
  s->out = g_byte_array_new ();
  int err = gnutls_init (&s->tls, flags);
  if (err < 0)
    s->tls = NULL;
  bool ok = vm_tls_creds_check (err, "Cannot initialize TLS session", error) && set_priority (s, error)
            && vm_tls_creds_check (klass->apply (creds, s->tls), "Cannot set session credentials", error);
  if (!ok)
    {
      vm_tls_session_free (s);
      return NULL;
    }
  if (hostname && creds->endpoint == VM_TLS_CLIENT && !g_hostname_is_ip_address (hostname))
    gnutls_server_name_set (s->tls, GNUTLS_NAME_DNS, hostname, strlen (hostname));
  gnutls_transport_set_ptr (s->tls, s);
  gnutls_transport_set_pull_function (s->tls, pull);
  gnutls_transport_set_push_function (s->tls, push);
  return s;
}

static void
start_end (VmTlsSession *s)
{
  vm_source_clear (&s->source);
  vm_source_clear (&s->limit);
}

void
vm_tls_session_free (VmTlsSession *s)
{
  if (!s)
    return;
  start_end (s);
  if (s->tls)
    gnutls_deinit (s->tls);
  vm_object_unref (&s->creds->parent);
  g_byte_array_unref (s->out);
  g_free (s->hostname);
  g_free (s->authz);
  g_free (s->peer);
  g_free (s);
}

/* --- who is there -------------------------------------------------------------------------------- */

static char *
peer_dn (VmTlsSession *s)
{
  unsigned n = 0;
  const gnutls_datum_t *chain = gnutls_certificate_get_peers (s->tls, &n);
  gnutls_datum_t dn = { 0 };
  gnutls_x509_crt_t cert;
  char *name = NULL;

  if (!chain || n == 0 || gnutls_x509_crt_init (&cert) < 0)
    return NULL;
  if (gnutls_x509_crt_import (cert, &chain[0], GNUTLS_X509_FMT_DER) >= 0 && gnutls_x509_crt_get_dn3 (cert, &dn, 0) >= 0)
    {
      name = g_strndup ((char *) dn.data, dn.size);
      gnutls_free (dn.data);
    }
  gnutls_x509_crt_deinit (cert);
  return name;
}

static bool
verify_certificate (VmTlsSession *s, GError **error)
{
  unsigned status = 0;
  gnutls_datum_t why = { 0 };
  const char *hostname = s->creds->endpoint == VM_TLS_CLIENT ? s->hostname : NULL;
  int err = gnutls_certificate_verify_peers3 (s->tls, hostname, &status);

  if (err < 0)
    return vm_fail (error, "Verify failed: %s", gnutls_strerror (err));
  if (status == 0)
    return true;
  bool worded = gnutls_certificate_verification_status_print (status, GNUTLS_CRT_X509, &why, 0) >= 0;
  vm_fail (error, "The peer's certificate is refused: %s", worded ? g_strstrip ((char *) why.data) : "it is not valid");
  gnutls_free (why.data);
  return false;
}

static bool
check_peer (VmTlsSession *s, GError **error)
{
  bool x509 = vm_tls_creds_are_x509 (s->creds), server = s->creds->endpoint == VM_TLS_SERVER;

  if (x509 && s->creds->verify_peer && !verify_certificate (s, error))
    return false;
  if (x509 && s->creds->verify_peer)
    s->peer = peer_dn (s);
  else if (!x509 && server)
    s->peer = g_strdup (gnutls_psk_server_get_username (s->tls)); /* NULL: anonymous */
  if (!s->authz || !server)
    return true;
  if (!s->peer)
    return vm_fail (error, "The peer shows no name that '%s' could allow", s->authz);
  return vm_authz_check (vm_object_root (&s->creds->parent), s->authz, s->peer, error);
}

const char *
vm_tls_session_peer (const VmTlsSession *s)
{
  return s->peer;
}

/* --- the handshake ------------------------------------------------------------------------------- */

VmTlsStep
vm_tls_session_handshake (VmTlsSession *s, GError **error)
{
  int err = 0;

  if (!s->established)
    do
      err = gnutls_handshake (s->tls);
    while (err < 0 && !gnutls_error_is_fatal (err) && err != GNUTLS_E_AGAIN && s->out->len < OUT_MAX);
  bool sent = vm_tls_session_flush (s);
  if (s->broken)
    err = GNUTLS_E_PUSH_ERROR;
  if (err < 0 && gnutls_error_is_fatal (err))
    {
      if (err == GNUTLS_E_FATAL_ALERT_RECEIVED)
        vm_fail (error, "TLS handshake failed: %s: %s", gnutls_strerror (err),
                 gnutls_alert_get_name (gnutls_alert_get (s->tls)));
      else
        vm_fail (error, "TLS handshake failed: %s", gnutls_strerror (err));
      gnutls_alert_send_appropriate (s->tls, err);
      vm_tls_session_flush (s);
      return VM_TLS_FAILED;
    }
  if (err < 0)
    return sent ? VM_TLS_WANT_READ : VM_TLS_WANT_WRITE;
  if (!s->established)
    {
      s->established = true;
      if (!check_peer (s, error))
        {
          gnutls_alert_send (s->tls, GNUTLS_AL_FATAL, GNUTLS_A_ACCESS_DENIED);
          vm_tls_session_flush (s);
          return VM_TLS_FAILED;
        }
    }
  return sent ? VM_TLS_DONE : VM_TLS_WANT_WRITE;
}

static bool
start_step (int fd, GIOCondition condition, void *opaque)
{
  VmTlsSession *s = opaque;
  g_autoptr (GError) error = NULL;
  VmTlsStep step = vm_tls_session_handshake (s, &error);

  if (step == VM_TLS_DONE || step == VM_TLS_FAILED)
    {
      start_end (s);
      s->done (s->done_opaque, error);
      return true;
    }
  vm_source_clear (&s->source);
  s->source = vm_loop_watch_fd (s->loop, fd, step == VM_TLS_WANT_READ ? G_IO_IN : G_IO_OUT, start_step, s);
  return true;
}

static gboolean
start_too_long (gpointer opaque)
{
  VmTlsSession *s = opaque;
  g_autoptr (GError) error = NULL;

  start_end (s);
  vm_fail (&error, "TLS handshake took longer than %d seconds", HANDSHAKE_LIMIT);
  s->done (s->done_opaque, error);
  return G_SOURCE_REMOVE;
}

void
vm_tls_session_start (VmTlsSession *s, VmLoop *loop, int fd, VmTlsDone func, void *opaque)
{
  s->loop = loop;
  s->done = func;
  s->done_opaque = opaque;
  vm_tls_session_set_fd (s, fd);
  s->limit = g_timeout_source_new_seconds (HANDSHAKE_LIMIT);
  g_source_set_callback (s->limit, start_too_long, s, NULL);
  g_source_attach (s->limit, vm_loop_context (loop));
  s->source = vm_loop_watch_fd (loop, fd, G_IO_OUT, start_step, s); /* soon: the first step */
}

/* --- data ---------------------------------------------------------------------------------------- */

ssize_t
vm_tls_session_read (VmTlsSession *s, void *buf, size_t len)
{
  ssize_t n;

  do
    n = gnutls_record_recv (s->tls, buf, len);
  while (n == GNUTLS_E_INTERRUPTED || n == GNUTLS_E_WARNING_ALERT_RECEIVED);
  vm_tls_session_flush (s); /* answers of the protocol itself */
  if (n >= 0)
    return n;
  errno = n == GNUTLS_E_AGAIN ? EAGAIN : ECONNABORTED; /* a new handshake is asked for: not with us */
  return -1;
}

ssize_t
vm_tls_session_write (VmTlsSession *s, const void *buf, size_t len)
{
  if (!vm_tls_session_flush (s))
    {
      errno = EAGAIN;
      return -1;
    }
  if (s->broken)
    {
      errno = EPIPE;
      return -1;
    }
  ssize_t n = gnutls_record_send (s->tls, buf, MIN (len, RECORD_MAX));
  vm_tls_session_flush (s);
  if (n >= 0)
    return n;
  errno = ECONNABORTED;
  return -1;
}

size_t
vm_tls_session_pending (const VmTlsSession *s)
{
  return gnutls_record_check_pending (s->tls);
}

void
vm_tls_session_bye (VmTlsSession *s)
{
  if (!s->established)
    return;
  gnutls_bye (s->tls, GNUTLS_SHUT_WR);
  vm_tls_session_flush (s);
}
