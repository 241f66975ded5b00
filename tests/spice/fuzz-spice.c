/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SPICE clients that are none, before the gate and the real library behind it: FUZZ_SPICE says where. "login" and
 * "sasl": bytes from the first on. The others: messages on a channel of one who is in, between what a guest writes at
 * the other end of its sockets (spice/protocol.h, spice/enums.h). */
#include "audio/audio.h"
#include "engine/machine/machine-private.h"
#include "engine/options/options.h"
#include "tests/fuzz/fuzz.h"
#include "ui/spice/spice-private.h"

#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <poll.h>
#include <signal.h>
#include <spice/enums.h>
#include <spice/protocol.h>
#include <sys/socket.h>
#include <unistd.h>

#define WIDTH 200
#define HEIGHT 120
#define PATIENCE_US (5 * G_USEC_PER_SEC)
#define ENDS 4

extern const SpiceServerModule vm_spice_module;

typedef struct Place
{
  const char *name;
  int channel; /* -1: before login */
} Place;

static const Place places[] = {
  { "login", -1 },
  { "sasl", -1 },
  { "main", SPICE_CHANNEL_MAIN },
  { "inputs", SPICE_CHANNEL_INPUTS },
  { "display", SPICE_CHANNEL_DISPLAY },
  { "cursor", SPICE_CHANNEL_CURSOR },
  { "playback", SPICE_CHANNEL_PLAYBACK },
  { "record", SPICE_CHANNEL_RECORD },
  { "port", SPICE_CHANNEL_PORT },
  { "usb", SPICE_CHANNEL_USBREDIR },
  { "card", SPICE_CHANNEL_SMARTCARD },
};

static const Place *
place (void)
{
  const Place *p = places;

  while (strcmp (p->name, FUZZ_SPICE) != 0)
    p++;
  return p;
}

/* --- a machine that is no more than what the server wants of one ------------------------------------------------- */

typedef struct Bench
{
  VmMachine machine;
  VmSettings *settings;
  VmLock *lock;
  VmSpice *spice;
  VmConsole *console;
  VmCharEnv chars;
  VmCharFe ends[ENDS]; /* the guest's */
  VmAudioCard card;
  int main; /* a client's main channel; -1: none */
  uint32_t session;
  unsigned migration; /* steps of one */
} Bench;

static void
on_event (void *opaque, const char *name, const char *data)
{
}

static bool
on_added (void *opaque, VmChardev *chr, bool port, const char *name, GError **error)
{
  return spice_pipe_new (opaque, chr, port, name, error);
}

static size_t
end_room (void *opaque)
{
  return 1024;
}

static void
end_receive (void *opaque, const uint8_t *buf, size_t len)
{
}

static void
open_ends (Bench *b)
{
  static const char *const devices[ENDS] = { "spicevmc,id=a,name=vdagent", "spicevmc,id=b,name=usbredir",
                                             "spicevmc,id=c,name=smartcard", "spiceport,id=d,name=org.example.door" };
  static const VmCharFeOps ops = { .can_receive = end_room, .receive = end_receive };
  g_autoptr (GError) error = NULL;

  b->chars = (VmCharEnv){ .loop = b->machine.env.loop,
                          .clocks = b->machine.env.clocks,
                          .root = b->machine.env.root,
                          .opaque = &b->machine,
                          .spice_added = on_added };
  for (unsigned i = 0; i < ENDS; i++)
    {
      g_autoptr (VmCharOptions) options = vm_char_options_parse (devices[i], &error);
      VmChardev *chr = options ? vm_chardev_new (&b->chars, options, &error) : NULL;
      if (!chr || !vm_char_fe_attach_to (&b->ends[i], chr, &ops, b, &error))
        g_error ("%s", error->message);
    }
}

static void
on_sound (void *opaque, size_t bytes)
{
}

static void
open_sound (Bench *b)
{
  const VmAudioFormat format = { .rate = 48000, .channels = 2, .sample = VM_AUDIO_S16 };
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  g_autoptr (GError) error = NULL;

  if (!vm_keyvals_parse (list, "spice,id=s", "driver", VM_KEYVALS_STRICT, &error)
      || !vm_audiodev_new_from_list (&b->machine, list, true, &error)
      || !vm_audio_card_attach (&b->card, &b->machine.env, b->machine.env.root, "card", &error))
    g_error ("%s", error->message);
  vm_audio_set_active (vm_audio_open_in (&b->card, "in", &format, on_sound, b), true);
  vm_audio_set_active (vm_audio_open_out (&b->card, "out", &format, on_sound, b), true);
}

static Bench *
bench_new (void)
{
  static const VmConsoleOps ops = { 0 };
  Bench *b = g_new0 (Bench, 1);
  VmEnv *env = &b->machine.env;
  g_autoptr (GError) error = NULL;
  const char *options = !strcmp (FUZZ_SPICE, "sasl") ? "sasl=on" : "disable-ticketing=on";

  signal (SIGPIPE, SIG_IGN);
  b->settings = vm_settings_new ();
  b->settings->spice = vm_keyvals_new ();
  b->machine.settings = b->settings;
  b->main = -1;
  b->lock = b->machine.lock = vm_lock_new ();
  vm_lock_enter (b->lock);
  b->machine.priv = g_new0 (VmMachinePrivate, 1);
  b->machine.priv->watches = g_ptr_array_new_with_free_func (g_free);
  vm_machine_set_event_sink (&b->machine, on_event, b);
  env->loop = vm_loop_new ("engine", b->lock);
  env->clocks = vm_clocks_new (env->loop);
  vm_clocks_set_running (env->clocks, true);
  env->root = vm_object_new (&vm_container_type);
  env->display = vm_display_new (env->loop, env->clocks);
  env->input = vm_input_new (env->loop);
  b->console = vm_console_new (env->display, NULL, 0, &ops, NULL);
  vm_console_set_surface (b->console, vm_surface_new (WIDTH, HEIGHT));
  b->spice = vm_spice_new (&b->machine);
  b->spice->list = vm_keyvals_copy (b->settings->spice);
  open_ends (b);
  if (!vm_keyvals_parse (b->spice->list, options, NULL, VM_KEYVALS_STRICT, &error)
      || !spice_options_read (&b->spice->options, &b->machine, b->spice->list, &error)
      || !spice_serve (b->spice, &vm_spice_module, &error))
    g_error ("%s", error->message);
  open_sound (b);
  return b;
}

/* --- clients ----------------------------------------------------------------------------------------------------- */

typedef struct Errand
{
  Bench *b;
  int fd;
} Errand;

static void
do_join (void *opaque)
{
  Errand *e = opaque;

  if (!e->b->spice->module->add_client (e->b->spice, e->fd, false, false))
    close (e->fd);
}

static void
do_nothing (void *opaque)
{
}

static void
do_migration (void *opaque)
{
  Bench *b = ((Errand *) opaque)->b;
  const SpiceServerModule *module = b->spice->module;

  switch (b->migration++ % 3)
    {
    case 0:
      module->migrate_to (b->spice, "host.example.org", 1, 0, NULL);
      break;
    case 1:
      module->migrate_start (b->spice);
      break;
    default:
      module->migrate_end (b->spice, false);
    }
}

/* On the server's thread, while this one holds its machine's lock. */
static void
over_there (Bench *b, VmPostFunc func, int fd)
{
  Errand e = { b, fd };

  vm_loop_call (b->spice->loop, func, &e);
}

static int
join (Bench *b)
{
  int ends[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), ==, 0);
  over_there (b, do_join, ends[0]);
  return ends[1];
}

/* The engine and the server do what they have to; what comes for a client is read and forgotten. False: it is over. */
static bool
turn (Bench *b, int fd)
{
  static uint8_t answers[65536];
  ssize_t n;

  while (vm_loop_iterate (b->machine.env.loop, false))
    ;
  over_there (b, do_nothing, -1);
  while ((n = recv (fd, answers, sizeof answers, MSG_DONTWAIT)) > 0)
    ;
  return n != 0;
}

static bool
hear (Bench *b, int fd, void *bytes, size_t size)
{
  gint64 end = g_get_monotonic_time () + PATIENCE_US;
  struct pollfd wait = { .fd = fd, .events = POLLIN };
  uint8_t *at = bytes;

  while (size && g_get_monotonic_time () < end)
    {
      while (vm_loop_iterate (b->machine.env.loop, false))
        ;
      if (poll (&wait, 1, 5) != 1)
        continue;
      ssize_t n = recv (fd, at, size, MSG_DONTWAIT);
      if (n <= 0)
        return false;
      at += n;
      size -= (size_t) n;
    }
  return !size;
}

/* All of it, unless the server hangs up. */
static bool
say (Bench *b, int fd, const void *bytes, size_t size)
{
  gint64 end = g_get_monotonic_time () + PATIENCE_US;
  const uint8_t *at = bytes;

  while (size && g_get_monotonic_time () < end)
    {
      ssize_t n = send (fd, at, size, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0 && errno != EAGAIN)
        return false;
      if (n > 0)
        {
          at += n;
          size -= (size_t) n;
        }
      else if (!turn (b, fd))
        return false;
    }
  return !size;
}

typedef struct __attribute__ ((packed)) Hello
{
  SpiceLinkHeader header;
  SpiceLinkMess link;
  uint32_t common, own;
} Hello;

static Hello
make_hello (int channel, uint32_t session)
{
  return (Hello){
    .header = { SPICE_MAGIC, SPICE_VERSION_MAJOR, SPICE_VERSION_MINOR, sizeof (Hello) - sizeof (SpiceLinkHeader) },
    .link = { session, (uint8_t) channel, 0, 1, 1, sizeof (SpiceLinkMess) },
    .common = 1 << SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION | 1 << SPICE_COMMON_CAP_AUTH_SPICE
              | 1 << SPICE_COMMON_CAP_MINI_HEADER,
    .own = UINT32_MAX,
  };
}

/* No password, sealed with the key of the server's answer: it looks into the envelope even where everybody may come in.
 */
static SpiceLinkEncryptedTicket
make_ticket (const uint8_t *reply)
{
  const uint8_t *key = reply + offsetof (SpiceLinkReply, pub_key), nothing = 0;
  SpiceLinkEncryptedTicket ticket = { { 0 } };
  size_t size = sizeof ticket;
  EVP_PKEY *rsa = d2i_PUBKEY (NULL, &key, SPICE_TICKET_PUBKEY_BYTES);
  EVP_PKEY_CTX *context = rsa ? EVP_PKEY_CTX_new (rsa, NULL) : NULL;

  if (context)
    {
      EVP_PKEY_encrypt_init (context);
      EVP_PKEY_CTX_set_rsa_padding (context, RSA_PKCS1_OAEP_PADDING);
      EVP_PKEY_encrypt (context, ticket.encrypted_data, &size, &nothing, 1);
    }
  EVP_PKEY_CTX_free (context);
  EVP_PKEY_free (rsa);
  return ticket;
}

/* A channel of one who is in; -1: not let in. */
static int
log_in (Bench *b, int channel, uint32_t session)
{
  const Hello hello = make_hello (channel, session);
  const uint32_t mechanism = SPICE_COMMON_CAP_AUTH_SPICE;
  SpiceLinkHeader header;
  SpiceLinkEncryptedTicket ticket;
  uint8_t reply[1024] = { 0 };
  uint32_t result = 1;
  int fd = join (b);

  if (say (b, fd, &hello, sizeof hello) && hear (b, fd, &header, sizeof header) && header.size <= sizeof reply
      && hear (b, fd, reply, header.size) && say (b, fd, &mechanism, sizeof mechanism)
      && (ticket = make_ticket (reply), say (b, fd, &ticket, sizeof ticket)) && hear (b, fd, &result, sizeof result)
      && !result)
    return fd;
  close (fd);
  return -1;
}

static void
come_in (Bench *b)
{
  struct __attribute__ ((packed))
  {
    SpiceMiniDataHeader header;
    uint32_t session;
    uint8_t rest[28];
  } init = { 0 };
  const SpiceMiniDataHeader attach = { .type = SPICE_MSGC_MAIN_ATTACH_CHANNELS };

  if (b->main >= 0 && turn (b, b->main))
    return;
  if (b->main >= 0)
    close (b->main);
  b->main = log_in (b, SPICE_CHANNEL_MAIN, 0);
  g_assert_cmpint (b->main, >=, 0);
  while (hear (b, b->main, &init.header, sizeof init.header) && init.header.type != SPICE_MSG_MAIN_INIT)
    for (uint8_t skipped; init.header.size; init.header.size--)
      g_assert_true (hear (b, b->main, &skipped, 1));
  g_assert_true (hear (b, b->main, &init.session, sizeof init.session + sizeof init.rest));
  b->session = init.session;
  say (b, b->main, &attach, sizeof attach);
}

/* What a display channel has to begin with. */
static void
say_init (Bench *b, int fd)
{
  const struct __attribute__ ((packed))
  {
    SpiceMiniDataHeader header;
    uint8_t cache;
    int64_t cache_size;
    uint8_t dictionary;
    int32_t dictionary_size;
  } init = { { SPICE_MSGC_DISPLAY_INIT, 14 }, 1, 1 << 20, 1, 1 << 20 };

  say (b, fd, &init, sizeof init);
}

/* Until all has been taken, or they hang up, for as long as something happens. */
static void
settle (Bench *b, int fd)
{
  for (unsigned i = 0; i < 4 && turn (b, fd); i++)
    g_usleep (150);
}

/* --- what they do ------------------------------------------------------------------------------------------------ */

enum
{
  SEND = 0,   /* a message of the channel */
  BASE = 1,   /* one that all channels have */
  RAW = 2,    /* half a message, perhaps */
  GUEST = 3,  /* the guest writes */
  SCREEN = 4, /* the screen changes */
  MIGRATE = 5,
  KINDS
};

static bool
act (Bench *b, int fd, Input *in)
{
  unsigned op = take (in, 1), size = take (in, op & 0x80 ? 2 : 1) & 0xfff;
  SpiceMiniDataHeader header = { .size = size };
  g_autofree uint8_t *bytes = g_malloc0 (size + 1);
  size_t n = MIN (size, in->left);
  bool fine = true;

  header.type = (uint16_t) take (in, (op & 7) == SEND || (op & 7) == BASE);
  n = MIN (n, in->left);
  memcpy (bytes, in->data, n);
  in->data += n;
  in->left -= n;
  switch ((op & 7) % KINDS)
    {
    case SEND:
      header.type = (header.type & 0x80 ? 201 : 101) + (header.type & 0x1f);
      fine = say (b, fd, &header, sizeof header) && say (b, fd, bytes, size);
      break;
    case BASE:
      fine = say (b, fd, &header, sizeof header) && say (b, fd, bytes, size);
      break;
    case RAW:
      fine = say (b, fd, bytes, size);
      break;
    case GUEST:
      vm_char_fe_write (&b->ends[op >> 3 & (ENDS - 1)], bytes, size);
      fine = turn (b, fd);
      break;
    case SCREEN:
      vm_console_lock (b->console);
      memcpy (vm_console_surface (b->console)->data, bytes, size);
      vm_console_unlock (b->console);
      vm_console_damage (b->console, 0, 0, WIDTH, HEIGHT);
      fine = turn (b, fd);
      break;
    default:
      over_there (b, do_migration, -1);
      break;
    }
  return fine;
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  static Bench *b; /* what one client leaves behind the next must live with */
  Input in = { data, size };
  int channel = place ()->channel;
  bool is_main = channel == SPICE_CHANNEL_MAIN;

  if (!b)
    b = bench_new ();
  if (channel < 0)
    {
      int fd = join (b);
      say (b, fd, data, size);
      settle (b, fd);
      close (fd);
      return;
    }
  come_in (b);
  int fd = is_main ? b->main : log_in (b, channel, b->session);
  if (fd < 0)
    return;
  if (channel == SPICE_CHANNEL_DISPLAY && size && data[0] & 0x40) /* the others may hang up before that */
    say_init (b, fd);
  while (in.left && act (b, fd, &in))
    ;
  settle (b, fd);
  if (!is_main)
    close (fd);
}

/* --- input that gets somewhere ------------------------------------------------------------------------------------ */

static void
put (GByteArray *out, unsigned bytes, uint64_t value)
{
  for (; bytes; bytes--, value >>= 8)
    g_byte_array_append (out, (const uint8_t[]){ (uint8_t) value }, 1);
}

/* Small, or anything; little-endian as all that SPICE says. */
static void
put_numbers (GRand *rand, GByteArray *out, unsigned n, unsigned bytes)
{
  while (n--)
    put (out, bytes, g_rand_boolean (rand) ? g_rand_int (rand) & 0xff : g_rand_int (rand));
}

static void
put_agent_message (GRand *rand, GByteArray *out, bool chunk)
{
  g_autoptr (GByteArray) data = g_byte_array_new ();
  unsigned type = (unsigned) g_rand_int_range (rand, 1, 18);

  put_numbers (rand, data, (unsigned) g_rand_int_range (rand, 0, 12), 4);
  if (chunk)
    {
      put (out, 4, (uint64_t) g_rand_int_range (rand, 1, 4));
      put (out, 4, g_rand_int_range (rand, 0, 10) ? 20 + data->len : g_rand_int (rand) & 0xfff);
    }
  put (out, 4, 1);
  put (out, 4, type);
  put (out, 8, 0);
  put (out, 4, g_rand_int_range (rand, 0, 10) ? data->len : g_rand_int (rand));
  g_byte_array_append (out, data->data, data->len);
}

/* What the protocol says of most messages: how many numbers of how many bytes. */
static void
put_payload (GRand *rand, GByteArray *out, unsigned type)
{
  switch (place ()->channel)
    {
    case SPICE_CHANNEL_MAIN:
      if (101 + type == SPICE_MSGC_MAIN_AGENT_DATA)
        put_agent_message (rand, out, false);
      else
        put_numbers (rand, out, (unsigned) g_rand_int_range (rand, 0, 3), 4);
      break;
    case SPICE_CHANNEL_INPUTS:
      if (type <= 2)
        put_numbers (rand, out, 1, type == 2 ? 2 : 4);
      else
        {
          put_numbers (rand, out, type < 12 ? 2 : 0, 4);
          put_numbers (rand, out, 1, type >= 12 ? 1 : 2);
          put_numbers (rand, out, 1, type == 11 ? 1 : 2);
        }
      break;
    case SPICE_CHANNEL_DISPLAY:
      put_numbers (rand, out, type ? (unsigned) g_rand_int_range (rand, 0, 10) : 0, 4);
      if (!type)
        {
          put (out, 1, g_rand_int (rand) & 3);
          put (out, 8, g_rand_int (rand) & 0xfffff);
          put (out, 1, g_rand_int (rand) & 3);
          put (out, 4, g_rand_int (rand) & 0xfffff);
        }
      break;
    case SPICE_CHANNEL_RECORD:
      put_numbers (rand, out, 1, 4);
      if (type == 1)
        put_numbers (rand, out, 1, 2);
      put_numbers (rand, out, (unsigned) g_rand_int_range (rand, 0, 200), 2);
      break;
    default:
      put_numbers (rand, out, (unsigned) g_rand_int_range (rand, 0, 40), 1);
    }
}

static void
make_act (GRand *rand, GByteArray *out)
{
  static const uint8_t types[] = { 0, 1, 2, 3, 4, 5, 6, 6, 6, 7, 8, 9, 10, 10, 11, 11, 12, 13, 0x80 };
  g_autoptr (GByteArray) payload = g_byte_array_new ();
  unsigned chance = (unsigned) g_rand_int_range (rand, 0, 20), type = types[g_rand_int_range (rand, 0, sizeof types)];
  unsigned op = chance < 13 ? SEND : chance - 12;

  if (op >= KINDS)
    op = SEND;
  if (op == GUEST)
    {
      unsigned end = g_rand_int (rand) & (ENDS - 1);
      op |= end << 3;
      if (!end)
        put_agent_message (rand, payload, true);
      else
        put_numbers (rand, payload, (unsigned) g_rand_int_range (rand, 0, 100), 1);
    }
  else if (op == BASE)
    {
      type = (unsigned) g_rand_int_range (rand, 1, 7);
      put_numbers (rand, payload, (unsigned) g_rand_int_range (rand, 0, 4), 4);
    }
  else
    put_payload (rand, payload, type);
  put (out, 1, op | 0x80 | (g_rand_int_range (rand, 0, 8) ? 0x40 : 0));
  put (out, 1, payload->len >> 8); /* take() is big-endian */
  put (out, 1, payload->len & 0xff);
  if ((op & 7) == SEND || (op & 7) == BASE)
    put (out, 1, type);
  g_byte_array_append (out, payload->data, payload->len);
}

static void
make_login (GRand *rand, GByteArray *out)
{
  static const uint32_t sizes[] = { 0, 1, 17, 18, 4096, 0x7fffffff, UINT32_MAX };
  Hello hello = make_hello (g_rand_int_range (rand, 0, 14), g_rand_boolean (rand) ? 0 : g_rand_int (rand));
  bool sasl = !strcmp (FUZZ_SPICE, "sasl");

  switch (g_rand_int_range (rand, 0, 8))
    {
    case 0:
      hello.header.size = sizes[g_rand_int_range (rand, 0, G_N_ELEMENTS (sizes))];
      break;
    case 1:
      hello.link.num_common_caps = sizes[g_rand_int_range (rand, 0, G_N_ELEMENTS (sizes))];
      break;
    case 2:
      hello.link.caps_offset = sizes[g_rand_int_range (rand, 0, G_N_ELEMENTS (sizes))];
      break;
    default:
      break;
    }
  g_byte_array_append (out, (const uint8_t *) &hello, sizeof hello);
  put (out, 4, sasl ? SPICE_COMMON_CAP_AUTH_SASL : (uint32_t) g_rand_int_range (rand, 0, 4));
  for (int i = g_rand_int_range (rand, 0, 4); sasl && i > 0; i--)
    {
      uint32_t len = (uint32_t) g_rand_int_range (rand, 0, 30);
      put (out, 4, g_rand_int_range (rand, 0, 8) ? len : g_rand_int (rand));
      while (len--)
        put (out, 1, "PLAIN\0ANONYMOUS,SCRAM-SHA-1"[len % 28]);
    }
  put_numbers (rand, out, (unsigned) g_rand_int_range (rand, 0, 60), 4);
}

void
fuzz_make (GRand *rand, GByteArray *input)
{
  if (place ()->channel < 0)
    make_login (rand, input);
  else
    for (int i = g_rand_int_range (rand, 1, 40); i > 0; i--)
      make_act (rand, input);
  for (int i = g_rand_int_range (rand, 0, 3); i > 0 && input->len; i--)
    input->data[g_rand_int_range (rand, 0, (gint32) input->len)] = (uint8_t) g_rand_int (rand);
}
