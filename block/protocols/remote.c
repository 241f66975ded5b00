/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Protocols that are modules, because of the libraries they need: what is known of them without. */
#include "block/node.h"
#include "block/protocols/url.h"

static void
add (json_object *to, const char *key, const char *value)
{
  json_object_object_add (to, key, json_object_new_string (value));
}

/* --- http, https, ftp, ftps ----------------------------------------------------------------------------------------
 */

static bool
curl_parse_name (const char *name, json_object *options, GError **error)
{
  add (options, "url", name);
  return true;
}

#define CURL_DRIVER(name_)                                                                                             \
  .name = name_, .kind = VM_DRIVER_PROTOCOL, .module = "vitrine-block-curl", .needs = "libcurl",                       \
  .parse_name = curl_parse_name

static const char *const http_schemes[] = { "http", NULL }, *const https_schemes[] = { "https", NULL };
static const char *const ftp_schemes[] = { "ftp", NULL }, *const ftps_schemes[] = { "ftps", NULL };

const VmBlockDriver vm_http_driver = { CURL_DRIVER ("http"), .help = "File of a web server", .schemes = http_schemes };
const VmBlockDriver vm_https_driver
    = { CURL_DRIVER ("https"), .help = "File of a web server, by TLS", .schemes = https_schemes };
const VmBlockDriver vm_ftp_driver = { CURL_DRIVER ("ftp"), .help = "File of an FTP server", .schemes = ftp_schemes };
const VmBlockDriver vm_ftps_driver
    = { CURL_DRIVER ("ftps"), .help = "File of an FTP server, by TLS", .schemes = ftps_schemes };

/* --- ssh -------------------------------------------------------------------------------------- */

static bool
take_host_key_check (const char *text, json_object *options, GError **error)
{
  static const char *const types[] = { "md5", "sha1", "sha256" };
  json_object *check = json_object_new_object ();

  json_object_object_add (options, "host-key-check", check);
  if (!strcmp (text, "no") || !strcmp (text, "yes"))
    {
      add (check, "mode", *text == 'n' ? "none" : "known_hosts");
      return true;
    }
  for (unsigned i = 0; i < G_N_ELEMENTS (types); i++)
    if (g_str_has_prefix (text, types[i]) && text[strlen (types[i])] == ':')
      {
        add (check, "mode", "hash");
        add (check, "type", types[i]);
        add (check, "hash", text + strlen (types[i]) + 1);
        return true;
      }
  return vm_fail (error, "unknown host_key_check setting (%s)", text);
}

static bool
ssh_parse_name (const char *name, json_object *options, GError **error)
{
  g_autoptr (VmUrl) url = vm_url_parse (name);
  json_object *server = json_object_new_object ();
  GHashTableIter params;
  gpointer key, value;

  json_object_object_add (options, "server", server);
  if (!url || !*url->host || !*url->path)
    return vm_fail (error, "No valid URL specified: ssh://[user@]host[:port]/path");
  g_autofree char *port = g_strdup_printf ("%d", url->port > 0 ? url->port : 22);
  add (server, "host", url->host);
  add (server, "port", port);
  add (options, "path", url->path);
  if (url->user && *url->user)
    add (options, "user", url->user);
  g_hash_table_iter_init (&params, url->params);
  while (g_hash_table_iter_next (&params, &key, &value))
    if (strcmp (key, "host_key_check"))
      return vm_fail (error, "Unknown parameter '%s' of the URL", (char *) key);
    else if (!take_host_key_check (value, options, error))
      return false;
  return true;
}

static const char *const ssh_schemes[] = { "ssh", NULL };

const VmBlockDriver vm_ssh_driver = {
  .name = "ssh",
  .help = "File of another host, by SFTP",
  .kind = VM_DRIVER_PROTOCOL,
  .module = "vitrine-block-ssh",
  .needs = "libssh",
  .schemes = ssh_schemes,
  .parse_name = ssh_parse_name,
};

/* --- nfs -------------------------------------------------------------------------------------- */

static bool
nfs_parse_name (const char *name, json_object *options, GError **error)
{
  static const char *const names[][2] = { { "uid", "user" },
                                          { "gid", "group" },
                                          { "tcp-syncnt", "tcp-syn-count" },
                                          { "readahead", "readahead-size" },
                                          { "pagecache", "page-cache-size" },
                                          { "debug", "debug" } };
  g_autoptr (VmUrl) url = vm_url_parse (name);
  json_object *server = json_object_new_object ();
  GHashTableIter params;
  gpointer key, value;

  json_object_object_add (options, "server", server);
  if (!url || !*url->host || !*url->path || url->port > 0)
    return vm_fail (error, "Invalid URI specified: nfs://host/path");
  add (server, "type", "inet");
  add (server, "host", url->host);
  add (options, "path", url->path);
  g_hash_table_iter_init (&params, url->params);
  while (g_hash_table_iter_next (&params, &key, &value))
    {
      const char *known = NULL;
      for (unsigned i = 0; i < G_N_ELEMENTS (names); i++)
        if (!strcmp (names[i][0], key))
          known = names[i][1];
      if (!known)
        return vm_fail (error, "Unknown NFS parameter name: %s", (char *) key);
      add (options, known, value);
    }
  return true;
}

static const char *const nfs_schemes[] = { "nfs", NULL };

const VmBlockDriver vm_nfs_driver = {
  .name = "nfs",
  .help = "File of an NFS server, without the kernel",
  .kind = VM_DRIVER_PROTOCOL,
  .module = "vitrine-block-nfs",
  .needs = "libnfs",
  .schemes = nfs_schemes,
  .parse_name = nfs_parse_name,
};

/* --- iscsi ------------------------------------------------------------------------------------ */

static bool
iscsi_parse_name (const char *name, json_object *options, GError **error)
{
  const char *rest = strstr (name, "://"), *slash, *lun, *at;
  guint64 number;

  rest = rest ? rest + 3 : "";
  slash = strchr (rest, '/');
  lun = slash ? strrchr (slash, '/') : NULL;
  if (!slash || lun == slash || slash == rest || !g_ascii_string_to_unsigned (lun + 1, 10, 0, 16383, &number, NULL))
    return vm_fail (error, "Failed to parse URL : %s: iscsi://[user[%%password]@]host[:port]/target/lun", name);
  g_autofree char *authority = g_strndup (rest, slash - rest), *target = g_strndup (slash + 1, lun - slash - 1);
  at = strrchr (authority, '@');
  if (at)
    {
      g_autofree char *user = g_strndup (authority, at - authority);
      char *password = strchr (user, '%');
      if (password)
        {
          *password = '\0';
          add (options, "password", password + 1);
        }
      add (options, "user", user);
    }
  else if (g_getenv ("LIBISCSI_CHAP_USERNAME") && g_getenv ("LIBISCSI_CHAP_PASSWORD"))
    {
      add (options, "user", g_getenv ("LIBISCSI_CHAP_USERNAME"));
      add (options, "password", g_getenv ("LIBISCSI_CHAP_PASSWORD"));
    }
  add (options, "transport", g_str_has_prefix (name, "iser") ? "iser" : "tcp");
  add (options, "portal", at ? at + 1 : authority);
  add (options, "target", target);
  add (options, "lun", lun + 1);
  return true;
}

static const char *const iscsi_schemes[] = { "iscsi", "iser", NULL };

const VmBlockDriver vm_iscsi_driver = {
  .name = "iscsi",
  .help = "Logical unit of an iSCSI target",
  .kind = VM_DRIVER_PROTOCOL,
  .module = "vitrine-block-iscsi",
  .needs = "libiscsi",
  .schemes = iscsi_schemes,
  .parse_name = iscsi_parse_name,
};

/* --- rbd -------------------------------------------------------------------------------------- */

/* The part of *TEXT up to END, where a backslash takes what a character means away; *TEXT is behind it, or NULL. */
static char *
take_part (char **text, char end)
{
  char *from = *text, *to = *text, *part = *text;

  for (; *from && *from != end; from++)
    {
      if (*from == '\\' && from[1])
        from++;
      *to++ = *from;
    }
  *text = *from ? from + 1 : NULL;
  *to = '\0';
  return part;
}

/* "rbd:pool/[namespace/]image[@snapshot][:id=user][:conf=file]". */
static bool
rbd_parse_name (const char *name, json_object *options, GError **error)
{
  g_autofree char *copy = g_strdup (name + strlen ("rbd:"));
  char *rest = copy, *image, *snapshot;
  const char *space = NULL;

  image = rest;
  for (rest = strchr (copy, ':'); rest && rest > copy && rest[-1] == '\\'; rest = strchr (rest + 1, ':'))
    ;
  if (rest)
    *rest++ = '\0';
  const char *pool = take_part (&image, '/');
  if (!image || !*pool)
    return vm_fail (error, "Invalid RBD name '%s': rbd:pool/image[@snapshot][:option=value]", name);
  if (strchr (image, '/'))
    space = take_part (&image, '/');
  snapshot = image;
  add (options, "pool", pool);
  if (space && *space)
    add (options, "namespace", space);
  add (options, "image", take_part (&snapshot, '@'));
  if (snapshot)
    add (options, "snapshot", snapshot);
  while (rest)
    {
      char *value = take_part (&rest, ':'), *key = strsep (&value, "=");
      if (!value || (strcmp (key, "id") && strcmp (key, "conf")))
        return vm_fail (error, "rbd: the name's option '%s' is not known: put it into the file that conf= names", key);
      add (options, *key == 'i' ? "user" : "conf", value);
    }
  return true;
}

static const char *const rbd_schemes[] = { "rbd", NULL };

const VmBlockDriver vm_rbd_driver = {
  .name = "rbd",
  .help = "Image in a Ceph cluster",
  .kind = VM_DRIVER_PROTOCOL,
  .module = "vitrine-block-rbd",
  .needs = "librbd",
  .schemes = rbd_schemes,
  .parse_name = rbd_parse_name,
};
