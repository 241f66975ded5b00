/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module "vitrine-vnc-sasl": libsasl2. The service's name is the one that administrators have files for. */
#include <gmodule.h>

#include "ui/vnc/sasl.h"

#include <sasl/sasl.h>

#define SERVICE "qemu"
#define PACKET_MAX 65536
#define STRENGTH_WITHOUT_TLS 56 /* bits that a mechanism must bring along when nothing else hides what is said */

struct VncSasl
{
  struct VncSaslBase base;
  sasl_conn_t *conn;
  char *mechanisms;
  bool started;
};

extern G_MODULE_EXPORT const VncSaslModule vnc_sasl_module;

static void
sasl_module_close (VncSasl *s)
{
  if (s->conn)
    sasl_dispose (&s->conn);
  g_free (s->mechanisms);
  g_free (s);
}

static bool
prepare (VncSasl *s, unsigned ssf, const char *name, GError **error)
{
  sasl_security_properties_t wanted = { 0 };
  sasl_ssf_t outside = ssf;
  int err = SASL_OK;

  if (name)
    err = sasl_setprop (s->conn, SASL_AUTH_EXTERNAL, name);
  if (err == SASL_OK && ssf)
    err = sasl_setprop (s->conn, SASL_SSF_EXTERNAL, &outside);
  wanted.maxbufsize = PACKET_MAX;
  if (ssf) /* what TLS hides need not be hidden again */
    wanted.max_ssf = 0;
  else
    {
      wanted.min_ssf = STRENGTH_WITHOUT_TLS;
      wanted.max_ssf = 100000;
      wanted.security_flags = SASL_SEC_NOANONYMOUS | SASL_SEC_NOPLAINTEXT;
    }
  if (err == SASL_OK)
    err = sasl_setprop (s->conn, SASL_SEC_PROPS, &wanted);
  return err == SASL_OK || vm_fail (error, "cannot set up SASL: %s", sasl_errstring (err, NULL, NULL));
}

static VncSasl *
sasl_module_open (const char *local, const char *remote, unsigned ssf, const char *name, GError **error)
{
  VncSasl *s = g_new0 (VncSasl, 1);
  int err = sasl_server_init (NULL, SERVICE); /* counts */

  s->base.module = &vnc_sasl_module;
  if (err == SASL_OK)
    err = sasl_server_new (SERVICE, NULL, NULL, local, remote, NULL, SASL_SUCCESS_DATA, &s->conn);
  if (err != SASL_OK)
    vm_fail (error, "cannot set up SASL: %s", sasl_errstring (err, NULL, NULL));
  if (err == SASL_OK && prepare (s, ssf, name, error))
    return s;
  sasl_module_close (s);
  return NULL;
}

static const char *
sasl_module_mechanisms (VncSasl *s)
{
  const char *list = NULL;

  if (sasl_listmech (s->conn, NULL, "", ",", "", &list, NULL, NULL) != SASL_OK)
    return NULL;
  g_free (s->mechanisms);
  s->mechanisms = g_strdup (list);
  return s->mechanisms;
}

static VncSaslStep
sasl_module_step (VncSasl *s, const char *mechanism, const char *data, size_t len, const char **reply,
                  size_t *reply_len)
{
  unsigned n = 0;
  int err;

  *reply = NULL;
  err = s->started ? sasl_server_step (s->conn, data, (unsigned) len, reply, &n)
                   : sasl_server_start (s->conn, mechanism, data, (unsigned) len, reply, &n);
  s->started = true;
  *reply_len = n;
  return err == SASL_OK ? VNC_SASL_DONE : err == SASL_CONTINUE ? VNC_SASL_MORE : VNC_SASL_REFUSED;
}

static bool
sasl_module_check (VncSasl *s, const char *user, const char *password)
{
  return sasl_checkpass (s->conn, user, (unsigned) strlen (user), password, (unsigned) strlen (password)) == SASL_OK;
}

static const char *
sasl_module_user (VncSasl *s)
{
  const void *name = NULL;

  return sasl_getprop (s->conn, SASL_USERNAME, &name) == SASL_OK ? name : NULL;
}

static unsigned
sasl_module_strength (VncSasl *s)
{
  const void *value = NULL;

  return sasl_getprop (s->conn, SASL_SSF, &value) == SASL_OK && value ? *(const sasl_ssf_t *) value : 0;
}

static size_t
sasl_module_most (VncSasl *s)
{
  const void *value = NULL;

  sasl_getprop (s->conn, SASL_MAXOUTBUF, &value);
  return value && *(const unsigned *) value ? *(const unsigned *) value : 4096;
}

static bool
sasl_module_seal (VncSasl *s, const char *in, size_t len, const char **out, size_t *out_len)
{
  unsigned n = 0;
  int err = sasl_encode (s->conn, in, (unsigned) len, out, &n);

  *out_len = n;
  return err == SASL_OK;
}

static bool
sasl_module_open_sealed (VncSasl *s, const char *in, size_t len, const char **out, size_t *out_len)
{
  unsigned n = 0;
  int err = sasl_decode (s->conn, in, (unsigned) len, out, &n);

  *out_len = n;
  return err == SASL_OK;
}

const VncSaslModule vnc_sasl_module = {
  .open = sasl_module_open,
  .close = sasl_module_close,
  .mechanisms = sasl_module_mechanisms,
  .step = sasl_module_step,
  .check = sasl_module_check,
  .user = sasl_module_user,
  .strength = sasl_module_strength,
  .most = sasl_module_most,
  .seal = sasl_module_seal,
  .open_sealed = sasl_module_open_sealed,
};
