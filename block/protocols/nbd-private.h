/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the NBD client. */
#pragma once

#include "block/protocols/nbd-protocol.h"
#include "block/protocols/socket.h"

/* What a client asks of a server, and what it gets. */
typedef struct NbdTerms
{
  const char *export, *context; /* CONTEXT: of block status; NULL: none */
  VmTlsCreds *creds;            /* NULL: in the clear */
  const char *hostname;         /* of the server's certificate; NULL: do not look */
  bool simple;                  /* do not ask for structured replies */
  uint64_t size;
  uint16_t flags;                            /* NBD_HAS_FLAGS... */
  uint32_t min_block, best_block, max_block; /* 0: the server has not said */
  bool structured, has_context;
  uint32_t context_id;
} NbdTerms;

typedef struct NbdExportInfo
{
  char *name, *description;
  uint64_t size;
  uint16_t flags;
  uint32_t min_block, best_block, max_block;
  GPtrArray *contexts; /* char * */
} NbdExportInfo;
void nbd_export_info_free (NbdExportInfo *info);

/* The handshake; after it requests are sent. */
bool nbd_connect (VmStream *s, NbdTerms *terms, GError **error);
/* All exports of a server: NbdExportInfo *. NULL with ERROR. */
GPtrArray *nbd_list (VmStream *s, NbdTerms *terms, GError **error);

/* "nbd://...", "nbd:host:port:exportname=..." into options of the driver. */
bool nbd_parse_name (const char *name, json_object *options, GError **error);
