/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The NBD client: the handshake, fixed newstyle and those before it. The server may be anybody. */
#include "block/protocols/nbd-private.h"

#include <errno.h>

enum
{
  MAX_REPLIES = 10000, /* to one option */
};

uint32_t
nbd_error_of_status (int status)
{
  switch (-status)
    {
    case 0:
      return 0;
    case EPERM:
    case EROFS:
      return 1;
    case ENOMEM:
      return 12;
    case EINVAL:
      return 22;
    case ENOSPC:
    case EFBIG:
    case EDQUOT:
      return 28;
    case EOVERFLOW:
      return 75;
    case ENOTSUP:
      return 95;
    case ESHUTDOWN:
      return 108;
    default:
      return 5;
    }
}

int
nbd_status_of_error (uint32_t error)
{
  static const int known[] = { EPERM, EIO, ENOMEM, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP, ESHUTDOWN };

  for (unsigned i = 0; i < G_N_ELEMENTS (known); i++)
    if (nbd_error_of_status (-known[i]) == error)
      return -known[i];
  return -EIO;
}

static bool
lost (GError **error)
{
  return vm_fail (error, "Failed to read from the NBD server: it closed the connection");
}

/* --- options --------------------------------------------------------------------------------------------------------
 */

static bool
send_option (VmStream *s, uint32_t option, const void *data, size_t len, GError **error)
{
  g_autofree uint8_t *message = g_malloc (16 + len);

  vm_store_be64 (message, NBD_MAGIC_OPTION);
  vm_store_be32 (message + 8, option);
  vm_store_be32 (message + 12, (uint32_t) len);
  if (len)
    memcpy (message + 16, data, len);
  return vm_stream_write (s, message, 16 + len) || lost (error);
}

typedef struct Reply
{
  uint32_t type, len;
  uint8_t *data; /* with a 0 behind it */
} Reply;

static bool
read_reply (VmStream *s, uint32_t option, Reply *r, GError **error)
{
  uint8_t head[20];

  g_clear_pointer (&r->data, g_free);
  if (!vm_stream_read (s, head, sizeof head))
    return lost (error);
  if (vm_load_be64 (head) != NBD_MAGIC_OPTION_REPLY || vm_load_be32 (head + 8) != option)
    return vm_fail (error, "Unexpected option reply of the NBD server");
  r->type = vm_load_be32 (head + 12);
  r->len = vm_load_be32 (head + 16);
  if (r->len > NBD_MAX_OPTION)
    return vm_fail (error, "The NBD server's reply is too long");
  r->data = g_malloc0 (r->len + 1);
  return vm_stream_read (s, r->data, r->len) || lost (error);
}

static const char *
option_name (uint32_t option)
{
  switch (option)
    {
    case NBD_OPT_EXPORT_NAME:
      return "export name";
    case NBD_OPT_LIST:
      return "list";
    case NBD_OPT_STARTTLS:
      return "starttls";
    case NBD_OPT_INFO:
      return "info";
    case NBD_OPT_GO:
      return "go";
    case NBD_OPT_STRUCTURED_REPLY:
      return "structured reply";
    case NBD_OPT_LIST_META_CONTEXT:
      return "list meta context";
    default:
      return "set meta context";
    }
}

static bool
refused (const NbdTerms *terms, uint32_t option, const Reply *r, GError **error)
{
  g_autofree char *told = r->len ? g_utf8_make_valid ((const char *) r->data, -1) : NULL;
  const char *more = told ? told : "", *behind = told ? "\nserver reported: " : "";

  switch (r->type)
    {
    case NBD_REP_ERR_TLS_REQD:
      return vm_fail (error, "Server requires TLS for option %" PRIu32 " (%s)\nDid you forget a valid tls-creds?%s%s",
                      option, option_name (option), behind, more);
    case NBD_REP_ERR_UNKNOWN:
      return vm_fail (error, "Requested export not available%s%s", behind, more);
    case NBD_REP_ERR_POLICY:
      return vm_fail (error, "Denied by server for option %" PRIu32 " (%s)%s%s", option, option_name (option), behind,
                      more);
    case NBD_REP_ERR_SHUTDOWN:
      return vm_fail (error, "Server shutting down before option %" PRIu32 " (%s)%s%s", option, option_name (option),
                      behind, more);
    default:
      return vm_fail (error, "The NBD server refuses option %" PRIu32 " (%s)%s%s", option, option_name (option), behind,
                      more);
    }
}

/* Whether the server knows it; -1 on errors. */
static int
simple_option (VmStream *s, const NbdTerms *terms, uint32_t option, GError **error)
{
  Reply r = { 0 };
  int status = -1;

  if (send_option (s, option, NULL, 0, error) && read_reply (s, option, &r, error))
    {
      if (r.type == NBD_REP_ACK)
        status = 1;
      else if (r.type == NBD_REP_ERR_TLS_REQD || !(r.type & NBD_REP_ERROR))
        refused (terms, option, &r, error);
      else
        status = 0;
    }
  g_free (r.data);
  return status;
}

static bool
start_tls (VmStream *s, NbdTerms *terms, GError **error)
{
  Reply r = { 0 };
  bool ok = send_option (s, NBD_OPT_STARTTLS, NULL, 0, error) && read_reply (s, NBD_OPT_STARTTLS, &r, error);

  if (ok && r.type != NBD_REP_ACK)
    ok = refused (terms, NBD_OPT_STARTTLS, &r, error);
  g_free (r.data);
  return ok && vm_stream_start_tls (s, terms->creds, terms->hostname, error);
}

static GByteArray *
with_name (const char *name)
{
  GByteArray *data = g_byte_array_new ();
  uint8_t len[4];

  vm_store_be32 (len, (uint32_t) strlen (name));
  g_byte_array_append (data, len, 4);
  g_byte_array_append (data, (const guint8 *) name, (guint) strlen (name));
  return data;
}

/* Asks for terms->context; *FOUND NULL: takes it, else all that the server has are listed there. */
static bool
meta_context (VmStream *s, NbdTerms *terms, GPtrArray *found, GError **error)
{
  uint32_t option = found ? NBD_OPT_LIST_META_CONTEXT : NBD_OPT_SET_META_CONTEXT;
  g_autoptr (GByteArray) data = with_name (terms->export);
  uint8_t count[4];
  Reply r = { 0 };
  bool ok;

  vm_store_be32 (count, !found);
  g_byte_array_append (data, count, 4);
  if (!found)
    {
      g_autoptr (GByteArray) query = with_name (terms->context);
      g_byte_array_append (data, query->data, query->len);
    }
  ok = send_option (s, option, data->data, data->len, error);
  for (unsigned n = 0; ok; n++)
    {
      ok = read_reply (s, option, &r, error);
      if (!ok || r.type == NBD_REP_ACK)
        break;
      if (r.type & NBD_REP_ERROR)
        {
          if (r.type == NBD_REP_ERR_TLS_REQD)
            ok = refused (terms, option, &r, error);
          break; /* it has none */
        }
      if (r.type != NBD_REP_META_CONTEXT || r.len < 4 || n == MAX_REPLIES)
        ok = vm_fail (error, "Unexpected reply to a meta context of the NBD server");
      else if (found)
        g_ptr_array_add (found, g_utf8_make_valid ((const char *) r.data + 4, -1));
      else if (!strcmp ((const char *) r.data + 4, terms->context) && !terms->has_context)
        {
          terms->has_context = true;
          terms->context_id = vm_load_be32 (r.data);
        }
      else
        ok = vm_fail (error, "The NBD server answers with a meta context that was not asked for");
    }
  g_free (r.data);
  return ok;
}

static bool
take_info (NbdTerms *terms, NbdExportInfo *info, const Reply *r, bool *known, GError **error)
{
  uint16_t kind = r->len >= 2 ? vm_load_be16 (r->data) : 0xffff;

  if (kind == NBD_INFO_EXPORT)
    {
      if (r->len != 12)
        return vm_fail (error, "Unexpected size of the NBD server's export information");
      terms->size = vm_load_be64 (r->data + 2);
      terms->flags = vm_load_be16 (r->data + 10);
      *known = true;
    }
  else if (kind == NBD_INFO_BLOCK_SIZE)
    {
      if (r->len != 14)
        return vm_fail (error, "Unexpected size of the NBD server's block size information");
      terms->min_block = vm_load_be32 (r->data + 2);
      terms->best_block = vm_load_be32 (r->data + 6);
      terms->max_block = vm_load_be32 (r->data + 10);
    }
  else if (kind == NBD_INFO_DESCRIPTION && info && !info->description)
    info->description = g_utf8_make_valid ((const char *) r->data + 2, -1);
  return true;
}

/* 1: done, 0: the server does not know the option, -1: error. */
static int
ask_info (VmStream *s, NbdTerms *terms, uint32_t option, NbdExportInfo *info, GError **error)
{
  g_autoptr (GByteArray) data = with_name (terms->export);
  static const uint8_t wants[] = { 0, 2, 0, NBD_INFO_BLOCK_SIZE, 0, NBD_INFO_DESCRIPTION };
  bool known = false;
  Reply r = { 0 };
  int status = -1;

  g_byte_array_append (data, wants, sizeof wants);
  if (!send_option (s, option, data->data, data->len, error))
    return -1;
  for (unsigned n = 0; n < MAX_REPLIES && read_reply (s, option, &r, error); n++)
    {
      if (r.type == NBD_REP_INFO)
        {
          if (!take_info (terms, info, &r, &known, error))
            break;
          continue;
        }
      if (r.type == NBD_REP_ACK && known)
        status = 1;
      else if (r.type == NBD_REP_ERR_UNSUP)
        status = 0;
      else if (r.type & NBD_REP_ERROR)
        refused (terms, option, &r, error);
      else
        vm_fail (error, "Unexpected reply to option %" PRIu32 " of the NBD server", option);
      break;
    }
  g_free (r.data);
  if (status < 0 && error && !*error)
    vm_fail (error, "The NBD server's reply does not end");
  return status;
}

static bool
export_name (VmStream *s, NbdTerms *terms, bool zeroes, GError **error)
{
  uint8_t data[10];

  if (!send_option (s, NBD_OPT_EXPORT_NAME, terms->export, strlen (terms->export), error))
    return false;
  if (!vm_stream_read (s, data, sizeof data))
    return vm_fail (error, "Failed to read export length: the export may not exist");
  terms->size = vm_load_be64 (data);
  terms->flags = vm_load_be16 (data + 8);
  return !zeroes || vm_stream_skip (s, 124) || lost (error);
}

/* --- the conversation ------------------------------------------------------------------------- */

static bool
check_terms (NbdTerms *terms, GError **error)
{
  if (terms->size > INT64_MAX)
    return vm_fail (error, "The NBD server's export is too big");
  if (!terms->min_block && !terms->max_block)
    return true;
  if (!terms->min_block || terms->min_block > 65536 || terms->min_block & (terms->min_block - 1))
    return vm_fail (error, "The NBD server requires a minimum block size of %" PRIu32 ", which is invalid",
                    terms->min_block);
  if (terms->best_block < terms->min_block || terms->best_block & (terms->best_block - 1))
    return vm_fail (error, "The NBD server prefers a block size of %" PRIu32 ", which is invalid", terms->best_block);
  if (terms->max_block < terms->min_block)
    return vm_fail (error, "The NBD server's maximum block size of %" PRIu32 " is invalid", terms->max_block);
  return true;
}

/* Of a newstyle server, up to where exports are chosen. */
static bool
greet (VmStream *s, uint16_t *server, GError **error)
{
  uint8_t flags[4];

  if (!vm_stream_read (s, flags, 2))
    return lost (error);
  *server = vm_load_be16 (flags);
  vm_store_be32 (flags, *server & (NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES));
  return vm_stream_write (s, flags, sizeof flags) || lost (error);
}

static bool
oldstyle (VmStream *s, NbdTerms *terms, GError **error)
{
  uint8_t data[12];

  if (terms->creds)
    return vm_fail (error, "Server does not support STARTTLS");
  if (*terms->export)
    return vm_fail (error, "Server does not support non-empty export names");
  if (!vm_stream_read (s, data, sizeof data) || !vm_stream_skip (s, 124))
    return lost (error);
  terms->size = vm_load_be64 (data);
  terms->flags = vm_load_be16 (data + 10);
  return check_terms (terms, error);
}

/* *NEWSTYLE: options follow. */
static bool
begin (VmStream *s, NbdTerms *terms, bool *newstyle, uint16_t *flags, GError **error)
{
  uint8_t magic[16];

  terms->min_block = terms->best_block = terms->max_block = 0;
  terms->structured = terms->has_context = false;
  if (!vm_stream_read (s, magic, sizeof magic))
    return lost (error);
  if (vm_load_be64 (magic) != NBD_MAGIC_INIT)
    return vm_fail (error, "Bad initial magic received: 0x%016" PRIx64, vm_load_be64 (magic));
  *newstyle = vm_load_be64 (magic + 8) == NBD_MAGIC_OPTION;
  if (!*newstyle && vm_load_be64 (magic + 8) != NBD_MAGIC_OLDSTYLE)
    return vm_fail (error, "Bad server magic received: 0x%016" PRIx64, vm_load_be64 (magic + 8));
  if (!*newstyle)
    return true;
  if (!greet (s, flags, error))
    return false;
  if (terms->creds && !(*flags & NBD_FIXED_NEWSTYLE))
    return vm_fail (error, "Server does not support STARTTLS");
  if (terms->creds && !start_tls (s, terms, error))
    return false;
  if (*flags & NBD_FIXED_NEWSTYLE && !terms->simple)
    {
      int known = simple_option (s, terms, NBD_OPT_STRUCTURED_REPLY, error);
      if (known < 0)
        return false;
      terms->structured = known;
    }
  return true;
}

bool
nbd_connect (VmStream *s, NbdTerms *terms, GError **error)
{
  uint16_t flags = 0;
  bool newstyle;
  int known = 0;

  if (!begin (s, terms, &newstyle, &flags, error))
    return false;
  if (!newstyle)
    return oldstyle (s, terms, error);
  if (terms->structured && terms->context && !meta_context (s, terms, NULL, error))
    return false;
  if (flags & NBD_FIXED_NEWSTYLE)
    known = ask_info (s, terms, NBD_OPT_GO, NULL, error);
  if (known < 0 || (!known && !export_name (s, terms, !(flags & NBD_NO_ZEROES), error)))
    return false;
  return check_terms (terms, error);
}

/* --- listing ---------------------------------------------------------------------------------- */

void
nbd_export_info_free (NbdExportInfo *info)
{
  g_free (info->name);
  g_free (info->description);
  g_ptr_array_unref (info->contexts);
  g_free (info);
}

static bool
take_listed (GPtrArray *list, const Reply *r, GError **error)
{
  uint32_t len = r->len >= 4 ? vm_load_be32 (r->data) : UINT32_MAX;
  NbdExportInfo *info;

  if (r->type != NBD_REP_SERVER || len > r->len - 4 || len > NBD_MAX_NAME)
    return vm_fail (error, "Unexpected reply to the list of the NBD server");
  info = g_new0 (NbdExportInfo, 1);
  info->name = g_strndup ((const char *) r->data + 4, len);
  if (r->len > 4 + len)
    info->description = g_utf8_make_valid ((const char *) r->data + 4 + len, -1);
  info->contexts = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (list, info);
  return true;
}

static bool
list_names (VmStream *s, NbdTerms *terms, GPtrArray *list, GError **error)
{
  Reply r = { 0 };
  bool ok = send_option (s, NBD_OPT_LIST, NULL, 0, error);

  while (ok && (ok = read_reply (s, NBD_OPT_LIST, &r, error)) && r.type != NBD_REP_ACK)
    if (r.type & NBD_REP_ERROR)
      ok = refused (terms, NBD_OPT_LIST, &r, error);
    else if (list->len == MAX_REPLIES)
      ok = vm_fail (error, "The NBD server's list does not end");
    else
      ok = take_listed (list, &r, error);
  g_free (r.data);
  return ok;
}

GPtrArray *
nbd_list (VmStream *s, NbdTerms *terms, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) nbd_export_info_free);
  uint16_t flags = 0;
  bool newstyle;

  if (!begin (s, terms, &newstyle, &flags, error))
    return NULL;
  if (!newstyle || !(flags & NBD_FIXED_NEWSTYLE))
    {
      vm_fail (error, "The NBD server cannot list its exports");
      return NULL;
    }
  if (!list_names (s, terms, list, error))
    return NULL;
  for (guint i = 0; i < list->len; i++)
    {
      NbdExportInfo *info = g_ptr_array_index (list, i);
      terms->export = info->name;
      terms->min_block = terms->best_block = terms->max_block = 0;
      int known = ask_info (s, terms, NBD_OPT_INFO, info, error);
      if (known < 0)
        return NULL;
      if (!known)
        continue;
      info->size = terms->size;
      info->flags = terms->flags;
      info->min_block = terms->min_block;
      info->best_block = terms->best_block;
      info->max_block = terms->max_block;
      if (terms->structured && !meta_context (s, terms, info->contexts, error))
        return NULL;
    }
  send_option (s, NBD_OPT_ABORT, NULL, 0, NULL);
  return g_steal_pointer (&list);
}
