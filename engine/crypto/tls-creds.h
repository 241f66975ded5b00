/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TLS credentials: what one end of a connection shows and expects. */
#pragma once

#include "engine/object/user-object.h"

typedef enum VmTlsEndpoint
{
  VM_TLS_CLIENT,
  VM_TLS_SERVER
} VmTlsEndpoint;

typedef struct VmTlsCreds VmTlsCreds;
extern const VmType vm_tls_creds_type; /* abstract */

/* The credentials ID, which must be for this end. Not a reference. */
VmTlsCreds *vm_tls_creds_find (VmObject *root, const char *id, VmTlsEndpoint endpoint, GError **error);
bool vm_tls_creds_are_x509 (const VmTlsCreds *creds);
/* Reads certificates again, for sessions to come. Engine loop. */
bool vm_tls_creds_reload (VmTlsCreds *creds, GError **error);

/* Cipher suites of a "tls-cipher-suites" object, two bytes each as they are sent, in order of preference: for
 * firmware. Newly allocated; NULL with ERROR set when there is no such object. */
uint8_t *vm_tls_cipher_suites (VmObject *root, const char *id, size_t *len, GError **error);
