/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The layer that a SASL mechanism may have put over the connection. */
#include "ui/vnc/sasl.h"

uint8_t *
vnc_sasl_seal (VncSasl *sasl, const void *bytes, size_t len, size_t *out_len)
{
  const VncSaslModule *module = ((struct VncSaslBase *) sasl)->module;
  g_autoptr (GByteArray) all = g_byte_array_new ();
  size_t most = module->most (sasl);

  for (size_t at = 0; at < len; at += most)
    {
      const char *out;
      size_t n;
      if (!module->seal (sasl, (const char *) bytes + at, MIN (most, len - at), &out, &n))
        return NULL;
      g_byte_array_append (all, (const uint8_t *) out, (guint) n);
    }
  return g_byte_array_steal (all, out_len);
}

bool
vnc_sasl_open (VncSasl *sasl, const uint8_t *bytes, size_t len, GByteArray *to)
{
  const VncSaslModule *module = ((struct VncSaslBase *) sasl)->module;
  const char *out;
  size_t n;

  if (!module->open_sealed (sasl, (const char *) bytes, len, &out, &n))
    return false;
  g_byte_array_append (to, (const uint8_t *) out, (guint) n);
  return true;
}
