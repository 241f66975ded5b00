/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A client's life: logging in, ClientInit (RFC 6143, 7.3), its messages (7.5) until it goes. One fiber each. */
#include "ui/vnc/vnc-private.h"

#include "engine/display/damage.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#define FIRST_WORD_S 10 /* until the client has said anything */
#define LOG_IN_S 120    /* somebody may have to look a password up */
#define CUT_TEXT_MAX (1u << 20)
#define NAME_MAX_BYTES 256

enum
{ /* client to server */
  SET_PIXEL_FORMAT = 0,
  SET_ENCODINGS = 2,
  UPDATE_REQUEST = 3,
  KEY_EVENT = 4,
  POINTER_EVENT = 5,
  CUT_TEXT = 6,
  POWER = 250,
  SET_DESKTOP_SIZE = 251,
  EXTENDED = 255
};
enum
{ /* of EXTENDED */
  EXTENDED_KEY = 0,
  EXTENDED_SOUND = 1
};
enum
{ /* of POWER */
  POWER_FAILED = 0,
  POWER_INIT = 1,
  POWER_SHUTDOWN = 2,
  POWER_REBOOT = 3,
  POWER_RESET = 4
};

/* --- events ----------------------------------------------------------------------------------------------------- */

static void
add_text (json_object *object, const char *key, const char *value)
{
  if (value)
    json_object_object_add (object, key, json_object_new_string (value));
}

void
vnc_client_event (VncClient *c, const char *name)
{
  json_object *data = json_object_new_object (), *server = json_object_new_object (),
              *client = json_object_new_object ();
  g_autofree char *auth = vnc_server_auth_name (c->server);

  add_text (server, "host", c->server_host);
  add_text (server, "service", c->server_service);
  add_text (server, "family", c->server_family);
  json_object_object_add (server, "websocket", json_object_new_boolean (c->websocket));
  add_text (server, "auth", auth);
  add_text (client, "host", c->host);
  add_text (client, "service", c->service);
  add_text (client, "family", c->family);
  json_object_object_add (client, "websocket", json_object_new_boolean (c->websocket));
  if (strcmp (name, "VNC_CONNECTED") != 0)
    {
      add_text (client, "x509_dname", c->dname);
      add_text (client, "sasl_username", c->user);
    }
  json_object_object_add (data, "server", server);
  json_object_object_add (data, "client", client);
  vm_machine_emit (c->server->vnc->machine, name, "%s", json_object_to_json_string (data));
  json_object_put (data);
}

/* --- what it shows --------------------------------------------------------------------------------------------------
 */

void
vnc_client_show (VncClient *c, VmConsole *console)
{
  VncScreen *before = c->screen;

  c->screen = NULL;
  c->cursor_serial = 0;
  c->pixels_serial = 0;
  c->screen = vnc_screen_join (c->server->vnc, console, c);
  if (before)
    vnc_screen_leave (before, c);
  vnc_client_resized (c);
  vnc_client_update (c); /* it may have asked already */
}

/* --- ClientInit and ServerInit ---------------------------------------------------------------- */

static bool
others_make_way (VncClient *c, bool shared)
{
  VncServer *s = c->server;

  switch (s->options.share)
    {
    case VNC_SHARE_IGNORE:
      return true;
    case VNC_SHARE_FORCE_SHARED:
      return shared; /* alone it may not be */
    case VNC_SHARE_ALLOW_EXCLUSIVE:
    default:
      break;
    }
  for (guint i = s->clients->len; i-- > 0;)
    {
      VncClient *other = g_ptr_array_index (s->clients, i);
      if (other == c || !other->initialized)
        continue;
      if (!shared)
        vnc_client_close (other);
      else if (!other->shared) /* who wanted to be alone is */
        return false;
    }
  return true;
}

static void
say_hello (VncClient *c)
{
  const char *guest = c->server->vnc->machine->settings->name;
  g_autofree char *name = guest ? g_strdup_printf ("Vitrine (%s)", guest) : g_strdup ("Vitrine");
  g_autoptr (GByteArray) hello = g_byte_array_new ();
  size_t len = MIN (strlen (name), NAME_MAX_BYTES);

  c->width = (unsigned) c->screen->width;
  c->height = (unsigned) c->screen->height;
  vnc_put_u16 (hello, (uint16_t) c->width);
  vnc_put_u16 (hello, (uint16_t) c->height);
  vnc_format_write (&c->format, vnc_grow (hello, VNC_FORMAT_SIZE));
  vnc_put_u32 (hello, (uint32_t) len);
  g_byte_array_append (hello, (const guint8 *) name, (guint) len);
  vnc_wire_write (&c->wire, hello->data, hello->len);
}

static VmConsole *
first_console (const VncServer *s)
{
  return s->console ? vm_console_ref (s->console) : vm_display_ref_console (s->vnc->machine->env.display, 0);
}

static bool
initialize (VncClient *c)
{
  uint8_t shared;

  if (!vnc_wire_read (&c->wire, &shared, 1) || !others_make_way (c, shared != 0))
    return false;
  c->shared = shared != 0;
  VmConsole *console = first_console (c->server);
  if (console)
    vnc_client_refresh (c, console);
  vnc_client_show (c, console);
  if (console)
    vm_console_unref (console);
  say_hello (c);
  vm_wakeup_arm (c->deadline, INT64_MAX);
  c->initialized = true;
  vnc_clipboard_join (c);
  vnc_sound_join (c);
  vnc_client_event (c, "VNC_INITIALIZED");
  return true;
}

/* --- messages --------------------------------------------------------------------------------- */

static bool
set_pixel_format (VncClient *c)
{
  uint8_t m[3 + VNC_FORMAT_SIZE];
  VncFormat format;

  if (!vnc_wire_read (&c->wire, m, sizeof m) || !vnc_format_read (&format, m + 3))
    return false;
  c->format = format;
  c->encoding_changed = true;
  c->cursor_serial = 0; /* its pixels have that format too */
  vnc_client_dirty (c, (VmRect){ 0, 0, c->screen->width, c->screen->height });
  if (format.mapped)
    {
      g_autoptr (GByteArray) map = g_byte_array_new ();
      vnc_format_put_map (map);
      vnc_wire_write (&c->wire, map->data, map->len);
    }
  return true;
}

static void
take_level (VncClient *c, int32_t code)
{
  static const uint8_t qualities[] = { 15, 29, 41, 42, 62, 77, 79, 86, 92, 100 };
  static const uint8_t subsamplings[] = { 1, 4, 2, 4 }; /* 1X, 4X, 2X, grey: as much as we save */

  if (code >= -256 && code <= -247)
    c->level = code + 256;
  else if (code >= -32 && code <= -23)
    c->quality = qualities[code + 32];
  else if (code >= -512 && code <= -412)
    c->quality = CLAMP (code + 512, 1, 100);
  else if (code >= -768 && code <= -763)
    c->subsampling = code + 768 < 4 ? subsamplings[code + 768] : 4;
}

static unsigned
feature_of (int32_t code)
{
  static const struct
  {
    int32_t code;
    unsigned feature;
  } features[] = {
    { VNC_COPY_RECT, VNC_HAS_COPY_RECT },
    { -223, VNC_HAS_DESKTOP_SIZE },
    { -308, VNC_HAS_EXTENDED_SIZE },
    { -239, VNC_HAS_CURSOR },
    { -314, VNC_HAS_ALPHA_CURSOR },
    { -257, VNC_HAS_POINTER_MODE },
    { -258, VNC_HAS_KEY_CODES },
    { -261, VNC_HAS_LEDS },
    { -316, VNC_HAS_MORE_BUTTONS },
    { (int32_t) 0xc0a1e5ce, VNC_HAS_CLIPBOARD },
    { -309, VNC_HAS_POWER },
    { -224, VNC_HAS_LAST_RECT },
    { -259, VNC_HAS_SOUND },
  };

  for (size_t i = 0; i < G_N_ELEMENTS (features); i++)
    if (features[i].code == code)
      return features[i].feature;
  return 0;
}

static void
take_features (VncClient *c, unsigned before)
{
  unsigned now = c->features & ~before;

  if (now & VNC_HAS_EXTENDED_SIZE)
    c->news |= VNC_NEWS_SIZE;
  if (now & VNC_HAS_KEY_CODES)
    c->news |= VNC_NEWS_KEY_CODES;
  if (now & VNC_HAS_MORE_BUTTONS)
    c->news |= VNC_NEWS_MORE_BUTTONS;
  if (now & VNC_HAS_POINTER_MODE)
    c->news |= VNC_NEWS_POINTER_MODE;
  if (!c->sound)
    c->features &= ~(unsigned) VNC_HAS_SOUND;
  else if (now & VNC_HAS_SOUND)
    c->news |= VNC_NEWS_SOUND;
  if (now & VNC_HAS_LEDS)
    c->news |= VNC_NEWS_LEDS;
  if (now & (VNC_HAS_CURSOR | VNC_HAS_ALPHA_CURSOR))
    c->cursor_serial = 0;
  c->cursor_moves = UINT64_MAX;
  if (!c->server->options.power_control)
    c->features &= ~(unsigned) VNC_HAS_POWER;
  else if (now & VNC_HAS_POWER)
    vnc_client_power (c, POWER_INIT);
}

void
vnc_client_take_encodings (VncClient *c, const uint8_t *list, unsigned n)
{
  static const int32_t known[] = { VNC_RAW, VNC_HEXTILE, VNC_ZLIB, VNC_TIGHT, VNC_ZRLE, VNC_TIGHT_PNG };
  unsigned before = c->features;
  bool chosen = false;

  c->features = 0;
  c->encoding = VNC_RAW;
  c->level = -1;
  c->quality = c->subsampling = 0;
  for (unsigned i = 0; i < n; i++)
    {
      int32_t code = (int32_t) vm_load_be32 (list + 4 * i);
      for (size_t k = 0; k < G_N_ELEMENTS (known) && !chosen; k++)
        if (known[k] == code)
          {
            c->encoding = code;
            chosen = true;
          }
      take_level (c, code);
      c->features |= feature_of (code);
    }
  c->encoding_changed = true;
  take_features (c, before);
}

static bool
set_encodings (VncClient *c)
{
  uint8_t m[3];

  if (!vnc_wire_read (&c->wire, m, sizeof m))
    return false;
  unsigned n = vm_load_be16 (m + 1);
  g_autofree uint8_t *list = g_malloc (n * 4 + 1);
  if (!vnc_wire_read (&c->wire, list, n * 4))
    return false;
  vnc_client_take_encodings (c, list, n);
  vnc_clipboard_features (c);
  vnc_client_update (c);
  return true;
}

static bool
update_request (VncClient *c)
{
  uint8_t m[9];

  if (!vnc_wire_read (&c->wire, m, sizeof m))
    return false;
  VmRect area = { vm_load_be16 (m + 1), vm_load_be16 (m + 3), vm_load_be16 (m + 5), vm_load_be16 (m + 7) };
  bool incremental = m[0];
  if (area.width && area.height)
    {
      c->area = c->requested ? vm_rect_union (c->area, area) : area;
      c->requested = true;
    }
  c->asked = true;
  if (!incremental)
    {
      c->whole = true;
      vnc_client_dirty (c, area);
      if (c->features & VNC_HAS_EXTENDED_SIZE)
        c->news |= VNC_NEWS_SIZE;
    }
  vnc_client_update (c);
  return true;
}

static bool
key_event (VncClient *c)
{
  uint8_t m[7];

  if (!vnc_wire_read (&c->wire, m, sizeof m))
    return false;
  vnc_client_key (c, m[0], vm_load_be32 (m + 3), 0, false);
  return true;
}

static bool
extended (VncClient *c)
{
  uint8_t kind, m[10];

  if (!vnc_wire_read (&c->wire, &kind, 1))
    return false;
  if (kind == EXTENDED_SOUND)
    return vnc_sound_message (c);
  if (kind != EXTENDED_KEY || !(c->features & VNC_HAS_KEY_CODES) || !vnc_wire_read (&c->wire, m, sizeof m))
    return false;
  unsigned xt = vm_load_be32 (m + 6);
  vnc_client_key (c, vm_load_be16 (m) != 0, vm_load_be32 (m + 2), xt & 0xff, xt <= 0xff);
  return true;
}

static bool
pointer_event (VncClient *c)
{
  uint8_t m[5], more = 0;

  if (!vnc_wire_read (&c->wire, m, sizeof m))
    return false;
  unsigned buttons = m[0];
  if (c->features & VNC_HAS_MORE_BUTTONS && buttons & 0x80)
    {
      if (!vnc_wire_read (&c->wire, &more, 1))
        return false;
      buttons = (buttons & 0x7f) | (unsigned) more << 7;
    }
  vnc_client_pointer (c, buttons & 0x1ff, vm_load_be16 (m + 1), vm_load_be16 (m + 3));
  return true;
}

static bool
cut_text (VncClient *c)
{
  uint8_t m[7];

  if (!vnc_wire_read (&c->wire, m, sizeof m))
    return false;
  int32_t given = (int32_t) vm_load_be32 (m + 3);
  uint32_t len = given < 0 ? 0u - (uint32_t) given : (uint32_t) given;
  if (given < 0 && !(c->features & VNC_HAS_CLIPBOARD))
    return false;
  if (len > CUT_TEXT_MAX)
    return vnc_wire_skip (&c->wire, len);
  g_autofree uint8_t *text = g_malloc (len + 1);
  if (!vnc_wire_read (&c->wire, text, len))
    return false;
  text[len] = 0;
  if (given < 0)
    return vnc_clipboard_extended (c, text, len);
  vnc_clipboard_text (c, text, len);
  return true;
}

static bool
set_desktop_size (VncClient *c)
{
  uint8_t m[7], screen[16];
  VncSizeAnswer answer = { .reason = 1, .status = 0 };

  if (!vnc_wire_read (&c->wire, m, sizeof m))
    return false;
  answer.width = vm_load_be16 (m + 1);
  answer.height = vm_load_be16 (m + 3);
  for (unsigned i = 0; i < m[5]; i++)
    if (!vnc_wire_read (&c->wire, screen, sizeof screen))
      return false;
  if (!(c->features & VNC_HAS_EXTENDED_SIZE))
    return false;
  if (m[5] != 1 || !answer.width || !answer.height || answer.width > 16384 || answer.height > 16384)
    answer.status = 3; /* no such layout */
  else if (!c->screen->console || !vm_console_wants_ui_info (c->screen->console))
    answer.status = 1; /* not with this card */
  else
    {
      VmUiInfo info = { .width = answer.width, .height = answer.height };
      vm_console_request_ui_info (c->screen->console, &info);
      answer.status = 4; /* the guest may follow */
    }
  answer.width = (uint16_t) c->screen->width;
  answer.height = (uint16_t) c->screen->height;
  if (c->size_answers->len < 16)
    g_array_append_val (c->size_answers, answer);
  vnc_client_update (c);
  return true;
}

/* --- power ------------------------------------------------------------------------------------ */

typedef struct PowerWish
{
  VmMachine *machine;
  unsigned code;
} PowerWish;

static void
do_power (void *opaque)
{
  g_autofree PowerWish *wish = opaque;

  if (wish->code == POWER_RESET)
    vm_machine_request_reset (wish->machine, VM_CAUSE_HOST_UI);
  else
    vm_machine_request_powerdown (wish->machine);
}

void
vnc_client_power (VncClient *c, unsigned code)
{
  const uint8_t m[4] = { POWER, 0, 1, (uint8_t) code };

  vnc_wire_write (&c->wire, m, sizeof m);
}

static bool
power (VncClient *c)
{
  uint8_t m[3];

  if (!vnc_wire_read (&c->wire, m, sizeof m) || !(c->features & VNC_HAS_POWER))
    return false;
  if (m[1] != 1 || (m[2] != POWER_SHUTDOWN && m[2] != POWER_RESET))
    { /* a clean restart takes a guest that is asked for it, and nothing here can */
      vnc_client_power (c, POWER_FAILED);
      return true;
    }
  PowerWish *wish = g_new (PowerWish, 1);
  *wish = (PowerWish){ c->server->vnc->machine, m[2] };
  vm_loop_post (c->server->vnc->machine->env.loop, do_power, wish);
  return true;
}

static bool
take_message (VncClient *c, uint8_t kind)
{
  switch (kind)
    {
    case SET_PIXEL_FORMAT:
      return set_pixel_format (c);
    case SET_ENCODINGS:
      return set_encodings (c);
    case UPDATE_REQUEST:
      return update_request (c);
    case KEY_EVENT:
      return key_event (c);
    case POINTER_EVENT:
      return pointer_event (c);
    case CUT_TEXT:
      return cut_text (c);
    case POWER:
      return power (c);
    case SET_DESKTOP_SIZE:
      return set_desktop_size (c);
    case EXTENDED:
      return extended (c);
    default:
      return false;
    }
}

void
vnc_client_serve (VncClient *c)
{
  uint8_t kind;

  while (vnc_wire_read (&c->wire, &kind, 1) && take_message (c, kind))
    ;
}

/* --- coming and going ------------------------------------------------------------------------- */

static void
drained (void *opaque)
{
  VncClient *c = opaque;

  if (c->closing)
    vnc_wire_poke (&c->wire);
  else
    vnc_client_drained (c);
}

static void
too_late (void *opaque)
{
  vnc_client_close (opaque);
}

static void
set_deadline (VncClient *c, int64_t seconds)
{
  vm_wakeup_arm (c->deadline, g_get_monotonic_time () * 1000 + seconds * VM_NS_PER_SEC);
}

void
vnc_client_close (VncClient *c)
{
  vnc_wire_break (&c->wire);
}

static void
client_free (VncClient *c)
{
  vm_wakeup_free (c->deadline);
  vnc_wire_clear (&c->wire);
  if (c->sasl)
    c->server->vnc->sasl->close (c->sasl);
  vm_source_clear (&c->refresh);
  vnc_encoder_clear (&c->encoder);
  g_array_unref (c->size_answers);
  g_array_unref (c->pieces);
  g_byte_array_unref (c->update);
  g_ptr_array_unref (c->followers);
  g_free (c->pixels);
  g_free (c->cells);
  g_free (c->boxes);
  g_free (c->host);
  g_free (c->service);
  g_free (c->family);
  g_free (c->server_host);
  g_free (c->server_service);
  g_free (c->server_family);
  g_free (c->dname);
  g_free (c->user);
  g_free (c);
}

static void
life (void *opaque)
{
  VncClient *c = opaque;
  VncServer *s = c->server;

  vnc_client_event (c, "VNC_CONNECTED");
  set_deadline (c, FIRST_WORD_S);
  c->logged_in = vnc_client_log_in (c);
  if (c->logged_in && initialize (c))
    vnc_client_serve (c);
  vm_wakeup_arm (c->deadline, INT64_MAX);
  if (!c->wire.over && vnc_wire_pending (&c->wire))
    { /* the last words, "no" for instance */
      set_deadline (c, FIRST_WORD_S);
      c->closing = true;
      while (!c->wire.over && vnc_wire_pending (&c->wire))
        vnc_wire_wait (&c->wire);
      vm_wakeup_arm (c->deadline, INT64_MAX);
    }
  vnc_wire_break (&c->wire);
  vnc_clipboard_leave (c);
  vnc_sound_leave (c);
  while (c->busy)
    vnc_wire_wait (&c->wire);
  if (c->screen)
    {
      vnc_client_clear_keys (c);
      vnc_screen_leave (c->screen, c);
      c->screen = NULL;
    }
  vnc_client_event (c, "VNC_DISCONNECTED");
  g_ptr_array_remove (s->clients, c);
  client_free (c);
  vnc_server_client_gone (s);
}

/* Both ends' names as QMP has them. */
void
vnc_name_end (int fd, bool peer, char **host, char **service, char **family)
{
  VmSockaddr addr;
  char number[INET6_ADDRSTRLEN] = "";
  bool known = vm_sockaddr_of (&addr, fd, peer);

  if (known && (addr.any.sa_family == AF_INET || addr.any.sa_family == AF_INET6))
    {
      bool six = addr.any.sa_family == AF_INET6;
      inet_ntop (addr.any.sa_family, six ? (void *) &addr.in6.sin6_addr : (void *) &addr.in.sin_addr, number,
                 sizeof number);
      *host = g_strdup (number);
      *service = g_strdup_printf ("%u", ntohs (six ? addr.in6.sin6_port : addr.in.sin_port));
      *family = g_strdup (six ? "ipv6" : "ipv4");
      return;
    }
  g_autofree char *text = known && !peer ? vm_sockaddr_text (&addr) : NULL;
  *host = g_strdup ("");
  *service = g_strdup (text ? text : "");
  *family = g_strdup (known && addr.any.sa_family == AF_UNIX ? "unix" : "unknown");
}

VncClient *
vnc_client_new (VncServer *s, int fd, bool websocket)
{
  VncClient *c = g_new0 (VncClient, 1);

  c->server = s;
  vnc_wire_init (&c->wire, s->vnc->loop, fd);
  c->wire.drained = drained;
  c->wire.opaque = c;
  c->websocket = websocket;
  c->number = ++s->vnc->last_number;
  c->since = g_get_monotonic_time ();
  c->deadline = vm_wakeup_new (s->vnc->loop, too_late, c);
  c->size_answers = g_array_new (FALSE, FALSE, sizeof (VncSizeAnswer));
  c->pieces = g_array_new (FALSE, FALSE, sizeof (VncPiece));
  c->update = g_byte_array_new ();
  c->followers = g_ptr_array_new ();
  c->level = -1;
  c->cursor_moves = UINT64_MAX;
  vnc_encoder_init (&c->encoder);
  vnc_client_init_update (c);
  vnc_format_init (&c->format);
  vnc_name_end (fd, true, &c->host, &c->service, &c->family);
  vnc_name_end (fd, false, &c->server_host, &c->server_service, &c->server_family);
  g_ptr_array_add (s->clients, c);
  s->vnc->n_clients++;
  return c;
}

void
vnc_client_start (VncClient *c)
{
  vm_fiber_spawn (c->wire.loop, life, c);
}

void
vnc_client_heard (VncClient *c)
{
  set_deadline (c, LOG_IN_S);
}
