/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Logging in by SASL (RFC 4422) with libsasl2, which is the module "vitrine-vnc-sasl": few servers ask for it. */
#pragma once

#include "engine/base/base.h"

typedef struct VncSasl VncSasl;

typedef enum VncSaslStep
{
  VNC_SASL_DONE,
  VNC_SASL_MORE,
  VNC_SASL_REFUSED
} VncSaslStep;

/* What the module offers. */
typedef struct VncSaslModule
{
  /* LOCAL and REMOTE: "address;port" or NULL. SSF: bits of the cipher below, 0 for none; NAME: who TLS says it is, or
   * NULL. */
  VncSasl *(*open) (const char *local, const char *remote, unsigned ssf, const char *name, GError **error);
  void (*close) (VncSasl *sasl);
  const char *(*mechanisms) (VncSasl *sasl); /* "A,B"; NULL: there are none */
  /* MECHANISM only with the first; DATA may be NULL. *REPLY is the library's. */
  VncSaslStep (*step) (VncSasl *sasl, const char *mechanism, const char *data, size_t len, const char **reply,
                       size_t *reply_len);
  bool (*check) (VncSasl *sasl, const char *user, const char *password); /* without a mechanism */
  const char *(*user) (VncSasl *sasl);
  unsigned (*strength) (VncSasl *sasl); /* of the layer that was agreed on, in bits */
  size_t (*most) (VncSasl *sasl);       /* bytes that one seal() takes */
  bool (*seal) (VncSasl *sasl, const char *in, size_t len, const char **out, size_t *out_len);
  bool (*open_sealed) (VncSasl *sasl, const char *in, size_t len, const char **out, size_t *out_len);
} VncSaslModule;

#define VNC_SASL_MODULE "vitrine-vnc-sasl"
#define VNC_SASL_SYMBOL "vnc_sasl_module"

/* The first member of a VncSasl, for those who have one in their hands. */
struct VncSaslBase
{
  const VncSaslModule *module;
};

/* Through the layer; NULL and false: it is broken. */
uint8_t *vnc_sasl_seal (VncSasl *sasl, const void *bytes, size_t len, size_t *out_len);
bool vnc_sasl_open (VncSasl *sasl, const uint8_t *bytes, size_t len, GByteArray *out);
