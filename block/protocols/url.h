/* SPDX-License-Identifier: GPL-3.0-or-later */
/* URLs that stand for images (RFC 3986), taken apart. */
#pragma once

#include "engine/base/base.h"

typedef struct VmUrl
{
  char *scheme, *user, *password, *host, *path; /* decoded; never NULL but USER and PASSWORD */
  int port;                                     /* -1: none */
  GHashTable *params;                           /* of the query: char * to char * */
} VmUrl;

VmUrl *vm_url_parse (const char *text); /* NULL: it is none */
void vm_url_free (VmUrl *url);
const char *vm_url_param (const VmUrl *url, const char *name); /* NULL: not there */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmUrl, vm_url_free)
