/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests: folders of certificates, and objects as -object makes them. */
#pragma once

#include "engine/object/user-object.h"

typedef struct PkiSpec
{
  const char *cn;
  bool client; /* purpose of the certificate; else server */
  bool expired, not_yet, is_ca, no_key, other_ca;
  const char *password; /* of the key file */
} PkiSpec;

/* Fills DIR (made when missing) with ca-cert.pem and a pair for both ends. All share one authority. */
void pki_make (const char *dir, const PkiSpec *spec);
/* Removes DIR and the plain files in it. */
void pki_remove (const char *dir);
/* "secret,id=s,data=x" below ROOT; NULL with ERROR set. The type is one of engine/crypto and engine/rng. */
VmObject *pki_object (VmObject *root, const char *text, GError **error);
