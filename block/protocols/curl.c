/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module of "http", "https", "ftp" and "ftps": files of servers, read by ranges (RFC 9110, section 14) with
 * libcurl, whose sockets the graph's loop watches. What was read ahead is kept in a few windows. */
#include "block/node.h"
#include "engine/clock/clock.h"
#include "engine/crypto/secret.h"

#include <curl/curl.h>
#include <errno.h>

enum
{
  WINDOWS = 8,
  DEFAULT_READAHEAD = 256 * 1024,
  DEFAULT_TIMEOUT_S = 5,
  SECTOR = 512,
};

typedef struct CurlState CurlState;

/* A range of the file, whole or on its way. */
typedef struct Window
{
  CurlState *curl;
  CURL *easy; /* NULL: none is on its way */
  uint8_t *data;
  uint64_t offset, size, filled; /* SIZE 0: unused */
  int status;
  uint64_t last_use;
  unsigned users; /* who wait for it or copy */
  bool news;      /* they have not been told */
  VmFiberQueue progress;
} Window;

struct CurlState
{
  VmLoop *loop;
  CURLM *multi;
  VmWakeup *timer;
  GHashTable *watches; /* descriptor to GSource * */
  char *url, *cookie, *username, *password, *proxy_username, *proxy_password;
  uint64_t readahead, clock;
  long timeout;
  bool verify, is_http;
  Window windows[WINDOWS];
  VmFiberQueue room;
  unsigned acting; /* inside of the library, or telling those who wait */
  VmFiberQueue calm;
  /* of the first question */
  bool ranges, asked;
  CURLcode answer;
  VmFiberQueue answered;
};

/* --- the loop's part ---------------------------------------------------------------------------------------------- */

static void
window_over (Window *w, CURLcode result)
{
  curl_multi_remove_handle (w->curl->multi, w->easy);
  curl_easy_cleanup (g_steal_pointer (&w->easy));
  if (w->filled < w->size)
    w->status = result == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT : -EIO;
  w->news = true;
}

static void
take_results (CurlState *s)
{
  CURLMsg *message;
  int left;

  while ((message = curl_multi_info_read (s->multi, &left)))
    {
      CURLcode result = message->data.result;
      Window *w = NULL;
      if (message->msg != CURLMSG_DONE)
        continue;
      curl_easy_getinfo (message->easy_handle, CURLINFO_PRIVATE, (char **) &w);
      if (w)
        window_over (w, result);
      else
        {
          s->answer = result;
          s->asked = true;
        }
    }
}

static void
tell (CurlState *s)
{
  for (unsigned i = 0; i < WINDOWS; i++)
    if (s->windows[i].news)
      {
        s->windows[i].news = false;
        vm_fiber_queue_wake_all (&s->windows[i].progress);
      }
  vm_fiber_queue_wake_all (&s->room);
  if (s->asked)
    vm_fiber_queue_wake_all (&s->answered);
}

/* Nobody goes on inside of the library's calls: they would call it again. */
static void
act (CurlState *s, curl_socket_t fd, int events)
{
  int running;

  s->acting++;
  curl_multi_socket_action (s->multi, fd, events, &running);
  take_results (s);
  tell (s);
  if (!--s->acting)
    vm_fiber_queue_wake_all (&s->calm);
}

/* The watch goes by the library's word alone, which may have come, and the node with it, when this returns. */
static bool
on_socket (int fd, GIOCondition condition, void *opaque)
{
  CurlState *s = opaque;
  int events = (condition & (G_IO_IN | G_IO_HUP) ? CURL_CSELECT_IN : 0) | (condition & G_IO_OUT ? CURL_CSELECT_OUT : 0)
               | (condition & G_IO_ERR ? CURL_CSELECT_ERR : 0);

  act (s, fd, events);
  return true;
}

static void
free_watch (gpointer data)
{
  GSource *source = data;

  vm_source_clear (&source);
}

static int
watch_socket (CURL *easy, curl_socket_t fd, int what, void *opaque, void *unused)
{
  CurlState *s = opaque;
  GIOCondition condition = (what != CURL_POLL_OUT ? G_IO_IN : 0) | (what != CURL_POLL_IN ? G_IO_OUT : 0);

  g_hash_table_remove (s->watches, GINT_TO_POINTER (fd));
  if (what != CURL_POLL_REMOVE)
    g_hash_table_insert (s->watches, GINT_TO_POINTER (fd), vm_loop_watch_fd (s->loop, fd, condition, on_socket, s));
  return 0;
}

static int
set_timer (CURLM *multi, long ms, void *opaque)
{
  CurlState *s = opaque;

  vm_wakeup_arm (s->timer, ms < 0 ? INT64_MAX : g_get_monotonic_time () * 1000 + MAX (ms * 1000000, 1));
  return 0;
}

static void
on_timer (void *opaque)
{
  act (opaque, CURL_SOCKET_TIMEOUT, 0);
}

/* --- one transfer ---------------------------------------------------------------------------------------------------
 */

static CURL *
new_transfer (const CurlState *s, Window *w)
{
  CURL *easy = curl_easy_init ();

  if (!easy)
    return NULL;
  curl_easy_setopt (easy, CURLOPT_URL, s->url);
  curl_easy_setopt (easy, CURLOPT_PRIVATE, w);
  curl_easy_setopt (easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt (easy, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt (easy, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt (easy, CURLOPT_MAXREDIRS, 20L);
  /* A server may not send us to files of this host. */
  curl_easy_setopt (easy, CURLOPT_PROTOCOLS_STR, "http,https,ftp,ftps");
  curl_easy_setopt (easy, CURLOPT_REDIR_PROTOCOLS_STR, s->is_http ? "http,https" : "ftp,ftps");
  curl_easy_setopt (easy, CURLOPT_SSL_VERIFYPEER, s->verify ? 1L : 0L);
  curl_easy_setopt (easy, CURLOPT_SSL_VERIFYHOST, s->verify ? 2L : 0L);
  curl_easy_setopt (easy, CURLOPT_CONNECTTIMEOUT, s->timeout);
  /* With libcurl 7.88, the data connection of a control connection used again fails by time-out at once, now and then. */
  curl_easy_setopt (easy, CURLOPT_FORBID_REUSE, s->is_http ? 0L : 1L);
  /* A slow server is not a dead one. */
  curl_easy_setopt (easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt (easy, CURLOPT_LOW_SPEED_TIME, s->timeout);
  if (s->cookie)
    curl_easy_setopt (easy, CURLOPT_COOKIE, s->cookie);
  if (s->username)
    curl_easy_setopt (easy, CURLOPT_USERNAME, s->username);
  if (s->password)
    curl_easy_setopt (easy, CURLOPT_PASSWORD, s->password);
  if (s->proxy_username)
    curl_easy_setopt (easy, CURLOPT_PROXYUSERNAME, s->proxy_username);
  if (s->proxy_password)
    curl_easy_setopt (easy, CURLOPT_PROXYPASSWORD, s->proxy_password);
  return easy;
}

static size_t
take_data (char *data, size_t one, size_t n, void *opaque)
{
  Window *w = opaque;
  long code = 0;
  size_t taken;

  curl_easy_getinfo (w->easy, CURLINFO_RESPONSE_CODE, &code);
  if (w->curl->is_http && code != 206 && w->offset) /* the whole file, from its beginning */
    return 0;
  taken = MIN (n, w->size - w->filled);
  memcpy (w->data + w->filled, data, taken);
  w->filled += taken;
  w->news = true;
  return taken; /* less than there was ends it */
}

static bool
start (CurlState *s, Window *w, uint64_t offset, uint64_t size)
{
  g_autofree char *range = g_strdup_printf ("%" PRIu64 "-%" PRIu64, offset, offset + size - 1);
  uint8_t *data = g_try_malloc (size);

  g_free (w->data);
  *w = (Window){ .curl = s, .data = data, .offset = offset, .size = data ? size : 0, .last_use = ++s->clock };
  w->easy = data ? new_transfer (s, w) : NULL;
  if (!w->easy)
    {
      w->size = 0;
      return false;
    }
  curl_easy_setopt (w->easy, CURLOPT_RANGE, range);
  curl_easy_setopt (w->easy, CURLOPT_WRITEFUNCTION, take_data);
  curl_easy_setopt (w->easy, CURLOPT_WRITEDATA, w);
  curl_multi_add_handle (s->multi, w->easy);
  return true;
}

/* --- reading ---------------------------------------------------------------------------------- */

static Window *
find_window (CurlState *s, uint64_t offset)
{
  for (unsigned i = 0; i < WINDOWS; i++)
    {
      Window *w = &s->windows[i];
      uint64_t has = w->easy ? w->size : w->filled;
      if (w->size && w->status >= 0 && offset >= w->offset && offset - w->offset < has)
        return w;
    }
  return NULL;
}

static Window *
oldest_idle (CurlState *s)
{
  Window *found = NULL;

  for (unsigned i = 0; i < WINDOWS; i++)
    {
      Window *w = &s->windows[i];
      if (!w->easy && !w->users && (!found || w->last_use < found->last_use))
        found = w;
    }
  return found;
}

/* At least one byte from OFFSET, or a negative errno value. */
static int64_t
read_some (VmNode *node, uint64_t offset, VmVec vec, size_t at)
{
  CurlState *s = node->state;
  uint64_t len = vec.size - at;
  Window *w;

  while (!(w = find_window (s, offset)))
    {
      w = oldest_idle (s);
      if (!w)
        vm_fiber_queue_wait (&s->room);
      else if (!start (s, w, offset, MIN (len + s->readahead, node->size - offset)))
        return -ENOMEM;
      else
        break;
    }
  w->last_use = ++s->clock;
  w->users++;
  while (w->easy && w->offset + w->filled <= offset)
    vm_fiber_queue_wait (&w->progress);
  uint64_t has = w->offset + w->filled > offset ? w->offset + w->filled - offset : 0;
  if (has)
    vm_vec_write (vec, at, w->data + (offset - w->offset), MIN (has, len));
  int64_t result = has ? (int64_t) MIN (has, len) : w->status < 0 ? w->status : -EIO;
  w->users--;
  vm_fiber_queue_wake_all (&s->room);
  return result;
}

static int
curl_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  for (size_t at = 0; at < vec.size;)
    {
      int64_t n = read_some (node, offset + at, vec, at);
      if (n < 0)
        return (int) n;
      at += (size_t) n;
    }
  return 0;
}

/* --- opening ---------------------------------------------------------------------------------- */

/* "Accept-Ranges: bytes", of the last answer when there were redirections. */
static size_t
take_header (char *data, size_t one, size_t n, void *opaque)
{
  static const char name[] = "accept-ranges:";
  CurlState *s = opaque;

  if (n >= 5 && !memcmp (data, "HTTP/", 5))
    s->ranges = false;
  if (n > strlen (name) && !g_ascii_strncasecmp (data, name, strlen (name)))
    {
      g_autofree char *value = g_strndup (data + strlen (name), n - strlen (name));
      s->ranges = !g_ascii_strcasecmp (g_strstrip (value), "bytes");
    }
  return n;
}

static size_t
drop_data (char *data, size_t one, size_t n, void *opaque)
{
  return n;
}

static bool
ask_size (VmNode *node, CurlState *s, bool force_range, GError **error)
{
  CURL *easy = new_transfer (s, NULL);
  char words[CURL_ERROR_SIZE] = "";
  curl_off_t size = -1;

  if (!easy)
    return vm_fail (error, "CURL: Error opening file: no memory");
  curl_easy_setopt (easy, CURLOPT_NOBODY, 1L);
  curl_easy_setopt (easy, CURLOPT_TIMEOUT, s->timeout);
  curl_easy_setopt (easy, CURLOPT_ERRORBUFFER, words);
  curl_easy_setopt (easy, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt (easy, CURLOPT_HEADERDATA, s);
  curl_easy_setopt (easy, CURLOPT_WRITEFUNCTION, drop_data); /* of FTP: the words of the header */
  curl_multi_add_handle (s->multi, easy);
  while (!s->asked)
    vm_fiber_queue_wait (&s->answered);
  curl_easy_getinfo (easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size);
  curl_multi_remove_handle (s->multi, easy);
  curl_easy_cleanup (easy);
  if (s->answer != CURLE_OK)
    return vm_fail (error, "CURL: Error opening file: %s", *words ? words : curl_easy_strerror (s->answer));
  if (size < 0)
    return vm_fail (error, "CURL: Error opening file: Server didn't report file size.");
  if (s->is_http && size && !s->ranges && !force_range)
    return vm_fail (error, "CURL: Error opening file: Server does not support 'range' (byte ranges).");
  node->size = (uint64_t) size;
  return true;
}

typedef struct CurlOptions
{ /* those of all four */
  const VmqBlockdevOptionsCurlFtp *common;
  const char *cookie, *cookie_secret;
  bool verify, force_range;
} CurlOptions;

static void
gather_options (const VmNode *node, const void *opaque, CurlOptions *o, VmqBlockdevOptionsCurlFtp *common)
{
#define COMMON(from)                                                                                                   \
  *common = (VmqBlockdevOptionsCurlFtp){ .url = (from)->url,                                                           \
                                         .has_readahead = (from)->has_readahead,                                       \
                                         .readahead = (from)->readahead,                                               \
                                         .has_timeout = (from)->has_timeout,                                           \
                                         .timeout = (from)->timeout,                                                   \
                                         .username = (from)->username,                                                 \
                                         .password_secret = (from)->password_secret,                                   \
                                         .proxy_username = (from)->proxy_username,                                     \
                                         .proxy_password_secret = (from)->proxy_password_secret }
  *o = (CurlOptions){ .common = common, .verify = true };
  if (!strcmp (node->driver->name, "http"))
    {
      const VmqBlockdevOptionsCurlHttp *http = opaque;
      COMMON (http);
      o->cookie = http->cookie;
      o->cookie_secret = http->cookie_secret;
      o->force_range = http->has_force_range && http->force_range;
    }
  else if (!strcmp (node->driver->name, "https"))
    {
      const VmqBlockdevOptionsCurlHttps *https = opaque;
      COMMON (https);
      o->cookie = https->cookie;
      o->cookie_secret = https->cookie_secret;
      o->verify = !https->has_sslverify || https->sslverify;
      o->force_range = https->has_force_range && https->force_range;
    }
  else if (!strcmp (node->driver->name, "ftps"))
    {
      const VmqBlockdevOptionsCurlFtps *ftps = opaque;
      COMMON (ftps);
      o->verify = !ftps->has_sslverify || ftps->sslverify;
    }
  else
    *common = *(const VmqBlockdevOptionsCurlFtp *) opaque;
#undef COMMON
}

static bool
take_secret (VmNode *node, const char *id, char **text, GError **error)
{
  if (!id)
    return true;
  *text = vm_secret_get_text (vm_graph_objects (node->graph), id, error);
  return *text != NULL;
}

static bool
take_options (VmNode *node, CurlState *s, const CurlOptions *o, GError **error)
{
  const VmqBlockdevOptionsCurlFtp *c = o->common;
  g_autofree char *scheme = g_strconcat (node->driver->name, "://", NULL);

  if (g_ascii_strncasecmp (c->url, scheme, strlen (scheme)))
    return vm_fail (error, "%s curl driver cannot handle the URL '%s' (does not start with '%s')", node->driver->name,
                    c->url, scheme);
  s->readahead = c->has_readahead ? c->readahead : DEFAULT_READAHEAD;
  if (s->readahead % SECTOR || s->readahead > VM_GIB)
    return vm_fail (error, "readahead=%" PRIu64 " must be a multiple of 512, at most 1 GiB", s->readahead);
  s->timeout = c->has_timeout ? (long) c->timeout : DEFAULT_TIMEOUT_S;
  if (c->has_timeout && (c->timeout < 0 || c->timeout > 10000))
    return vm_fail (error, "timeout parameter is too large or negative");
  if (o->cookie && o->cookie_secret)
    return vm_fail (error, "curl driver cannot handle both cookie and cookie secret");
  s->url = g_strdup (c->url);
  s->is_http = g_str_has_prefix (node->driver->name, "http");
  s->cookie = g_strdup (o->cookie);
  s->username = g_strdup (c->username);
  s->proxy_username = g_strdup (c->proxy_username);
  s->verify = o->verify;
  return take_secret (node, o->cookie_secret, &s->cookie, error)
         && take_secret (node, c->password_secret, &s->password, error)
         && take_secret (node, c->proxy_password_secret, &s->proxy_password, error);
}

static void
free_secret (char *text)
{
  if (text)
    vm_secret_free (text, strlen (text));
}

static void
curl_close_node (VmNode *node)
{
  CurlState *s = node->state;

  while (s->acting)
    vm_fiber_queue_wait (&s->calm);
  vm_fiber_yield (); /* whoever said so has done with it */
  for (unsigned i = 0; i < WINDOWS; i++)
    {
      Window *w = &s->windows[i];
      if (w->easy)
        {
          curl_multi_remove_handle (s->multi, w->easy);
          curl_easy_cleanup (w->easy);
        }
      g_free (w->data);
    }
  curl_multi_cleanup (s->multi);
  g_hash_table_unref (s->watches);
  vm_wakeup_free (s->timer);
  g_free (s->url);
  free_secret (s->cookie);
  g_free (s->username);
  free_secret (s->password);
  g_free (s->proxy_username);
  free_secret (s->proxy_password);
}

static bool
curl_open (VmNode *node, const void *opaque, GError **error)
{
  VmqBlockdevOptionsCurlFtp common;
  CurlState *s = node->state;
  CurlOptions o;

  if (!node->readonly && !node->auto_readonly)
    return vm_fail (error, "curl driver does not support writes");
  node->readonly = true;
  curl_global_init (CURL_GLOBAL_DEFAULT);
  s->loop = vm_graph_loop (node->graph);
  s->multi = curl_multi_init ();
  s->watches = g_hash_table_new_full (NULL, NULL, NULL, free_watch);
  s->timer = vm_wakeup_new (s->loop, on_timer, s);
  curl_multi_setopt (s->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
  curl_multi_setopt (s->multi, CURLMOPT_SOCKETDATA, s);
  curl_multi_setopt (s->multi, CURLMOPT_TIMERFUNCTION, set_timer);
  curl_multi_setopt (s->multi, CURLMOPT_TIMERDATA, s);
  gather_options (node, opaque, &o, &common);
  if (!take_options (node, s, &o, error) || !ask_size (node, s, o.force_range, error))
    {
      curl_close_node (node);
      return false;
    }
  node->filename = g_strdup (s->url);
  return true;
}

#define CURL_DRIVER(name_)                                                                                             \
  {                                                                                                                    \
    .name = name_, .kind = VM_DRIVER_PROTOCOL, .state_size = sizeof (CurlState), .open = curl_open,                    \
    .close = curl_close_node, .read = curl_read                                                                        \
  }

extern const VmBlockDriver vm_block_http, vm_block_https, vm_block_ftp, vm_block_ftps; /* by name */
const VmBlockDriver vm_block_http = CURL_DRIVER ("http");
const VmBlockDriver vm_block_https = CURL_DRIVER ("https");
const VmBlockDriver vm_block_ftp = CURL_DRIVER ("ftp");
const VmBlockDriver vm_block_ftps = CURL_DRIVER ("ftps");
