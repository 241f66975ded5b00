/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a viewer says to the library, as far as that takes it amiss: libspice-server (0.15.1) ends the program for
 * messages out of turn, for viewers that go before a display channel has had its first word, and for mistakes there.
 * The link stage and headers are those of spice/protocol.h. */
#include "ui/spice/server-private.h"

#include <spice/enums.h>
#include <spice/protocol.h>

#define LINK_MAX 4096          /* bytes of a link message */
#define MESSAGE_MAX (16 << 20) /* of others: the library has room for all of it as soon as it knows the size */
#define COMPRESSED_HEAD 5      /* of those that are compressed, which has no struct either: how, and the size before */
#define INIT_SIZE 14           /* of DISPLAY_INIT, which has no struct: a cache's number and size, a dictionary's */

typedef enum Stage
{
  HELLO,
  LINK,
  LISTENS, /* the library has its turn: whoever speaks on is heard when it has spoken */
  MECHANISM,
  TICKET,
  SASL_NAME,
  SASL_DATA,
  DOOR, /* with this word a display channel may be let in, and is when the gate says so */
  HEADER,
  BODY,   /* of a message that is looked at */
  UNSEEN, /* nobody here understands it */
  DEAF    /* the library hangs up */
} Stage;

/* Where the library is. */
typedef enum Answer
{
  REPLY,
  CHOSEN,
  SASL_LIST,
  SASL_ANSWER,
  SASL_DONE,
  SASL_RESULT,
  RESULT,
  MESSAGE,
  IGNORED
} Answer;

struct SpiceJudge
{
  const int *migrating; /* atomic */
  bool sealed;          /* by SASL, if that is chosen */
  Stage stage, next;    /* after LISTENS */
  GByteArray *held;     /* until all NEED bytes are there */
  size_t need;
  GByteArray *later;   /* said out of turn */
  uint32_t pass, skip; /* bytes to come that go on, or do not */
  bool short_headers, sasl, begun, inside;
  uint8_t channel;
  Answer answer;
  GByteArray *answered; /* until it is whole */
  uint32_t unheard;     /* bytes to come */
};

SpiceJudge *
spice_judge_new (const int *migrating, bool sealed)
{
  SpiceJudge *j = g_new0 (SpiceJudge, 1);

  j->migrating = migrating;
  j->sealed = sealed;
  j->held = g_byte_array_new ();
  j->later = g_byte_array_new ();
  j->answered = g_byte_array_new ();
  j->need = sizeof (SpiceLinkHeader);
  return j;
}

void
spice_judge_free (SpiceJudge *j)
{
  g_byte_array_unref (j->held);
  g_byte_array_unref (j->later);
  g_byte_array_unref (j->answered);
  g_free (j);
}

static size_t
header_size (const SpiceJudge *j)
{
  return j->short_headers ? sizeof (SpiceMiniDataHeader) : sizeof (SpiceDataHeader);
}

static void
await (SpiceJudge *j, Stage stage, size_t need)
{
  j->stage = stage;
  j->need = need;
}

static void
let_go (SpiceJudge *j, GByteArray *out)
{
  g_byte_array_append (out, j->held->data, j->held->len);
  g_byte_array_set_size (j->held, 0);
}

static void
listen_before (SpiceJudge *j, Stage next, size_t need)
{
  await (j, LISTENS, need);
  j->next = next;
}

static uint32_t
number (const uint8_t *bytes)
{
  uint32_t n;

  memcpy (&n, bytes, sizeof n);
  return GUINT32_FROM_LE (n);
}

/* --- logging in -------------------------------------------------------------------------------------------------- */

static void
read_hello (SpiceJudge *j, GByteArray *out)
{
  SpiceLinkHeader header;

  memcpy (&header, j->held->data, sizeof header);
  let_go (j, out);
  if (header.magic != SPICE_MAGIC || header.size < sizeof (SpiceLinkMess) || header.size > LINK_MAX)
    j->stage = DEAF;
  else
    await (j, LINK, header.size);
}

/* The library knows all three of these capabilities, so that the client's word counts. False: a viewer that moves here
 * with its machine, and none does; its screens would not have their first word before that has come. */
static bool
read_link (SpiceJudge *j, GByteArray *out)
{
  SpiceLinkMess link;
  uint32_t common = 0;

  memcpy (&link, j->held->data, sizeof link);
  if (link.channel_type == SPICE_CHANNEL_MAIN && link.connection_id)
    return false;
  if (link.num_common_caps && link.caps_offset <= j->held->len - sizeof common)
    memcpy (&common, j->held->data + link.caps_offset, sizeof common);
  j->channel = link.channel_type;
  j->short_headers = common & 1u << SPICE_COMMON_CAP_MINI_HEADER;
  let_go (j, out);
  if (common & 1u << SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION)
    listen_before (j, MECHANISM, sizeof (SpiceLinkAuthMechanism));
  else
    listen_before (j, TICKET, sizeof (SpiceLinkEncryptedTicket));
  return true;
}

static void
read_mechanism (SpiceJudge *j, GByteArray *out)
{
  uint32_t chosen = number (j->held->data);

  let_go (j, out);
  j->sasl = chosen == SPICE_COMMON_CAP_AUTH_SASL;
  if (j->sasl)
    listen_before (j, SASL_NAME, sizeof (uint32_t));
  else if (chosen == SPICE_COMMON_CAP_AUTH_SPICE)
    await (j, TICKET, sizeof (SpiceLinkEncryptedTicket));
  else
    j->stage = DEAF;
}

/* A string. */
static void
read_name (SpiceJudge *j, GByteArray *out)
{
  j->pass = number (j->held->data);
  let_go (j, out);
  await (j, SASL_DATA, sizeof (uint32_t));
}

static void
let_in (SpiceJudge *j, GByteArray *out)
{
  if (j->sasl)
    {
      j->pass = number (j->held->data);
      listen_before (j, SASL_DATA, sizeof (uint32_t));
    }
  else
    await (j, HEADER, header_size (j));
  let_go (j, out);
}

/* A ticket, or how long SASL's are. */
static void
read_proof (SpiceJudge *j, GByteArray *out)
{
  if (j->channel == SPICE_CHANNEL_DISPLAY)
    j->stage = DOOR;
  else
    let_in (j, out);
}

/* --- messages ---------------------------------------------------------------------------------------------------- */

static bool
is_of_migration (const SpiceJudge *j, uint16_t type)
{
  return j->channel == SPICE_CHANNEL_MAIN
         && (type == SPICE_MSGC_MAIN_MIGRATE_CONNECTED || type == SPICE_MSGC_MAIN_MIGRATE_CONNECT_ERROR
             || type == SPICE_MSGC_MAIN_MIGRATE_END);
}

static bool
is_seamless (const SpiceJudge *j, uint16_t type)
{
  bool is_main = j->channel == SPICE_CHANNEL_MAIN;

  return type == SPICE_MSGC_MIGRATE_FLUSH_MARK || type == SPICE_MSGC_MIGRATE_DATA
         || (is_main && type == SPICE_MSGC_MAIN_MIGRATE_DST_DO_SEAMLESS)
         || (is_main && type == SPICE_MSGC_MAIN_MIGRATE_CONNECTED_SEAMLESS);
}

static SpiceDataHeader
header_of (const SpiceJudge *j, const uint8_t *bytes)
{
  SpiceDataHeader header = { 0 };
  SpiceMiniDataHeader mini;

  if (!j->short_headers)
    memcpy (&header, bytes, sizeof header);
  else
    {
      memcpy (&mini, bytes, sizeof mini);
      header.type = mini.type;
      header.size = mini.size;
    }
  return header;
}

/* Of the guest's sockets. */
static bool
is_compressed (const SpiceJudge *j, uint16_t type)
{
  bool is_pipe
      = j->channel == SPICE_CHANNEL_USBREDIR || j->channel == SPICE_CHANNEL_PORT || j->channel == SPICE_CHANNEL_WEBDAV;

  return is_pipe && type == SPICE_MSGC_SPICEVMC_COMPRESSED_DATA;
}

/* Of a display channel: the library does not survive a mistake there, either. */
static bool
may_come_first (const SpiceDataHeader *header)
{
  return (header->type == SPICE_MSGC_ACK_SYNC && header->size == sizeof (uint32_t))
         || (header->type == SPICE_MSGC_ACK && !header->size)
         || (header->type == SPICE_MSGC_DISPLAY_INIT && header->size == INIT_SIZE);
}

static bool
read_header (SpiceJudge *j, GByteArray *out)
{
  const SpiceDataHeader header = header_of (j, j->held->data);
  bool is_main = j->channel == SPICE_CHANNEL_MAIN, is_display = j->channel == SPICE_CHANNEL_DISPLAY;

  /* Nobody sends messages inside of messages. */
  if (header.size > MESSAGE_MAX || header.sub_list || is_seamless (j, header.type)
      || (is_display && j->begun && header.type == SPICE_MSGC_DISPLAY_INIT)
      || (is_of_migration (j, header.type) && !g_atomic_int_get (j->migrating)))
    return false;
  if (is_main && header.type == SPICE_MSGC_MAIN_AGENT_TOKEN)
    {
      g_byte_array_set_size (j->held, 0);
      j->skip = header.size;
    }
  else if (is_main && header.type == SPICE_MSGC_MAIN_AGENT_START && header.size == sizeof (uint32_t))
    await (j, BODY, j->held->len + header.size);
  else if (is_compressed (j, header.type))
    { /* else it is one that is compressed in no way: see read_compressed() */
      if (header.size < COMPRESSED_HEAD)
        return false;
      await (j, BODY, j->held->len + COMPRESSED_HEAD);
    }
  else if (is_display && !j->begun)
    { /* whole, so that there can still be a first word when the client goes */
      if (!may_come_first (&header))
        return false;
      await (j, BODY, j->held->len + header.size);
    }
  else
    {
      let_go (j, out);
      j->pass = header.size;
    }
  return true;
}

/* Of what is compressed in no way the library does not know the size, and has room for it. */
static bool
read_compressed (SpiceJudge *j, uint32_t size, GByteArray *out)
{
  const uint8_t *head = j->held->data + header_size (j);

  if (head[0] != SPICE_DATA_COMPRESSION_TYPE_LZ4 || number (head + 1) > MESSAGE_MAX)
    return false;
  let_go (j, out);
  j->pass = size - COMPRESSED_HEAD;
  await (j, HEADER, header_size (j));
  return true;
}

/* A client gives the agent tokens, one a message: some at its start, more as it reads. The library does not survive
 * those that come while there is no agent, as they may at any time when that goes; so they are all given at the start.
 */
static bool
read_body (SpiceJudge *j, GByteArray *out)
{
  const SpiceDataHeader header = header_of (j, j->held->data);

  if (is_compressed (j, header.type))
    return read_compressed (j, header.size, out);
  if (j->channel == SPICE_CHANNEL_MAIN)
    memset (j->held->data + header_size (j), 0xff, sizeof (uint32_t));
  else
    j->begun = header.type == SPICE_MSGC_DISPLAY_INIT;
  let_go (j, out);
  if (j->begun)
    listen_before (j, HEADER, header_size (j));
  else
    await (j, HEADER, header_size (j));
  return true;
}

static bool
step (SpiceJudge *j, GByteArray *out)
{
  switch (j->stage)
    {
    case HELLO:
      read_hello (j, out);
      return true;
    case LINK:
      return read_link (j, out);
    case MECHANISM:
      read_mechanism (j, out);
      return true;
    case SASL_NAME:
      read_name (j, out);
      return true;
    case TICKET:
    case SASL_DATA:
      read_proof (j, out);
      return true;
    case HEADER:
      return read_header (j, out);
    default:
      return read_body (j, out);
    }
}

bool
spice_judge_hear (SpiceJudge *j, const uint8_t *bytes, size_t len, GByteArray *out)
{
  while (len)
    {
      size_t n = len;

      if (j->stage == UNSEEN)
        g_byte_array_append (out, bytes, (guint) n);
      else if (j->skip)
        j->skip -= (uint32_t) (n = MIN (n, j->skip));
      else if (j->pass)
        {
          j->pass -= (uint32_t) (n = MIN (n, j->pass));
          g_byte_array_append (out, bytes, (guint) n);
        }
      else if (spice_judge_pauses (j))
        g_byte_array_append (j->later, bytes, (guint) n);
      else if (j->stage != DEAF)
        {
          n = MIN (n, j->need - j->held->len);
          g_byte_array_append (j->held, bytes, (guint) n);
          while (j->held->len && j->held->len == j->need && j->stage != DOOR)
            if (!step (j, out))
              return false;
        }
      bytes += n;
      len -= n;
    }
  return true;
}

/* --- whose turn it is -------------------------------------------------------------------------------------------- */

bool
spice_judge_pauses (const SpiceJudge *j)
{
  return (j->stage == LISTENS && !j->pass) || j->stage == DOOR;
}

static bool
hear_later (SpiceJudge *j, GByteArray *out)
{
  g_autoptr (GByteArray) later = g_steal_pointer (&j->later);

  j->later = g_byte_array_new ();
  return spice_judge_hear (j, later->data, later->len, out);
}

bool
spice_judge_knocks (const SpiceJudge *j)
{
  return j->stage == DOOR;
}

bool
spice_judge_let_in (SpiceJudge *j, GByteArray *out)
{
  j->inside = true;
  let_in (j, out);
  return hear_later (j, out);
}

bool
spice_judge_is_new (const SpiceJudge *j)
{
  return j->inside;
}

static bool
stop_listening (SpiceJudge *j, GByteArray *out)
{
  if (j->stage != LISTENS)
    return true;
  j->stage = j->next;
  return hear_later (j, out);
}

static bool
sasl_ended (SpiceJudge *j, GByteArray *out)
{
  if (j->sealed)
    {
      j->next = UNSEEN;
      j->inside = false;
    }
  else
    {
      j->next = HEADER;
      j->need = header_size (j);
    }
  j->answer = j->sealed ? IGNORED : SASL_RESULT;
  return stop_listening (j, out);
}

static size_t
answer_size (const SpiceJudge *j)
{
  return j->answer == REPLY       ? sizeof (SpiceLinkHeader)
         : j->answer == SASL_DONE ? 1
         : j->answer == MESSAGE   ? header_size (j)
                                  : sizeof (uint32_t);
}

static bool
read_answer (SpiceJudge *j, GByteArray *out)
{
  const uint8_t *bytes = j->answered->data;
  SpiceDataHeader header;

  switch (j->answer)
    {
    case REPLY:
      j->unheard = number (bytes + offsetof (SpiceLinkHeader, size));
      j->answer = CHOSEN;
      return stop_listening (j, out);
    case SASL_LIST:
      j->unheard = number (bytes);
      j->answer = SASL_ANSWER;
      return stop_listening (j, out);
    case SASL_ANSWER:
      j->unheard = number (bytes);
      j->answer = SASL_DONE;
      return true;
    case SASL_DONE:
      if (*bytes)
        return sasl_ended (j, out);
      j->answer = SASL_ANSWER;
      j->inside = false;
      return stop_listening (j, out);
    case SASL_RESULT:
      j->answer = RESULT;
      return true;
    case RESULT:
      j->answer = j->channel == SPICE_CHANNEL_DISPLAY ? MESSAGE : IGNORED;
      return true;
    default:
      header = header_of (j, bytes);
      j->unheard = header.size;
      if (header.type <= SPICE_MSG_BASE_LAST)
        return true;
      j->inside = false;
      j->answer = IGNORED;
      return stop_listening (j, out);
    }
}

bool
spice_judge_answer (SpiceJudge *j, const uint8_t *bytes, size_t len, GByteArray *out)
{
  while (len && j->answer != IGNORED)
    {
      size_t n = MIN (len, j->unheard);

      if (n)
        j->unheard -= (uint32_t) n;
      else
        {
          if (j->answer == CHOSEN)
            j->answer = j->sasl ? SASL_LIST : RESULT;
          n = MIN (len, answer_size (j) - j->answered->len);
          g_byte_array_append (j->answered, bytes, (guint) n);
          if (j->answered->len == answer_size (j))
            {
              if (!read_answer (j, out))
                return false;
              g_byte_array_set_size (j->answered, 0);
            }
        }
      bytes += n;
      len -= n;
    }
  return true;
}

bool
spice_judge_waits (const SpiceJudge *j)
{
  return j->channel == SPICE_CHANNEL_DISPLAY && (j->stage == HEADER || j->stage == BODY) && !j->begun;
}

void
spice_judge_end (SpiceJudge *j, GByteArray *out)
{
  const uint8_t nothing[INIT_SIZE] = { 0 }; /* no cache, no dictionary */
  const SpiceMiniDataHeader mini = { SPICE_MSGC_DISPLAY_INIT, sizeof nothing };
  const SpiceDataHeader whole = { .serial = 1, .type = SPICE_MSGC_DISPLAY_INIT, .size = sizeof nothing };

  if (spice_judge_knocks (j))
    j->stage = DEAF;
  if (!spice_judge_waits (j))
    return;
  g_byte_array_append (out, j->short_headers ? (const uint8_t *) &mini : (const uint8_t *) &whole,
                       (guint) header_size (j));
  g_byte_array_append (out, nothing, sizeof nothing);
  j->stage = DEAF;
}
