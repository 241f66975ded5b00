/* SPDX-License-Identifier: GPL-3.0-or-later */
/* URLs that stand for images (RFC 3986), taken apart. */
#include "block/protocols/url.h"

VmUrl *
vm_url_parse (const char *text)
{
  g_autofree char *query = NULL, *fragment = NULL;
  VmUrl *url = g_new0 (VmUrl, 1);
  bool ok = g_uri_split_with_user (text, G_URI_FLAGS_HAS_PASSWORD, &url->scheme, &url->user, &url->password, NULL,
                                   &url->host, &url->port, &url->path, NULL, &fragment, NULL);

  /* The query's parts are decoded one by one: "&" and "=" may be in them. */
  ok = ok && g_uri_split (text, G_URI_FLAGS_ENCODED_QUERY, NULL, NULL, NULL, NULL, NULL, &query, NULL, NULL);
  if (ok)
    url->params = query ? g_uri_parse_params (query, -1, "&", G_URI_PARAMS_NONE, NULL)
                        : g_hash_table_new (g_str_hash, g_str_equal);
  if (!ok || !url->scheme || fragment || !url->params)
    {
      vm_url_free (url);
      return NULL;
    }
  if (!url->host)
    url->host = g_strdup ("");
  return url;
}

void
vm_url_free (VmUrl *url)
{
  if (!url)
    return;
  g_free (url->scheme);
  g_free (url->user);
  g_free (url->password);
  g_free (url->host);
  g_free (url->path);
  g_clear_pointer (&url->params, g_hash_table_unref);
  g_free (url);
}

const char *
vm_url_param (const VmUrl *url, const char *name)
{
  return g_hash_table_lookup (url->params, name);
}
