/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files about TLS share. */
#pragma once

#include "engine/crypto/tls-creds.h"

#include <gnutls/gnutls.h>

struct VmTlsCreds
{
  VmObject parent;
  /* properties */
  int endpoint; /* VmTlsEndpoint */
  char *dir, *priority;
  bool verify_peer, loaded;
  /* state */
  gnutls_dh_params_t dh; /* of dh-params.pem; NULL: those everybody knows */
};

typedef struct VmTlsCredsClass
{
  VmUserObjectClass user;
  /* Added to the priority string: methods that are off by default. NULL: none. */
  const char *priority;
  /* Hands the credentials to a new session: a GnuTLS error code. */
  int (*apply) (VmTlsCreds *creds, gnutls_session_t session);
  /* Reads its files again, for sessions to come. NULL: has none. */
  bool (*reload) (VmTlsCreds *creds, GError **error);
} VmTlsCredsClass;

extern const VmType vm_tls_creds_x509_type;

/* DIR/NAME when it is there; NULL with ERROR set when it is REQUIRED and is not, or when "dir" is missing. */
char *vm_tls_creds_file (const VmTlsCreds *creds, const char *name, bool required, GError **error);
/* dh-params.pem of a server into creds->dh; true when there is none. */
bool vm_tls_creds_load_dh (VmTlsCreds *creds, GError **error);
bool vm_tls_creds_check_priority (const VmTlsCreds *creds, GError **error);
bool vm_tls_creds_check (int err, const char *what, GError **error); /* "what: the library's word for ERR" */
bool vm_tls_creds_read (const char *path, gnutls_datum_t *text, GError **error); /* text->data is for g_free() */
/* Are the certificates of these files fit for what they are meant for? CERT may be NULL. */
bool vm_tls_x509_check_files (const char *ca, const char *cert, bool server, GError **error);
