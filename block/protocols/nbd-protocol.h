/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers of the network block device protocol, for both ends. After "The NBD protocol" of the NBD project. */
#pragma once

#include "engine/base/base.h"

#define NBD_PORT "10809"

#define NBD_MAGIC_INIT UINT64_C (0x4e42444d41474943)
#define NBD_MAGIC_OPTION UINT64_C (0x49484156454f5054)
#define NBD_MAGIC_OPTION_REPLY UINT64_C (0x0003e889045565a9)
#define NBD_MAGIC_OLDSTYLE UINT64_C (0x0000420281861253)
#define NBD_MAGIC_REQUEST 0x25609513u
#define NBD_MAGIC_SIMPLE 0x67446698u
#define NBD_MAGIC_STRUCTURED 0x668e33efu

enum
{ /* of the handshake */
  NBD_FIXED_NEWSTYLE = 1,
  NBD_NO_ZEROES = 2
};

enum
{
  NBD_OPT_EXPORT_NAME = 1,
  NBD_OPT_ABORT = 2,
  NBD_OPT_LIST = 3,
  NBD_OPT_STARTTLS = 5,
  NBD_OPT_INFO = 6,
  NBD_OPT_GO = 7,
  NBD_OPT_STRUCTURED_REPLY = 8,
  NBD_OPT_LIST_META_CONTEXT = 9,
  NBD_OPT_SET_META_CONTEXT = 10,
};

#define NBD_REP_ACK 1u
#define NBD_REP_SERVER 2u
#define NBD_REP_INFO 3u
#define NBD_REP_META_CONTEXT 4u
#define NBD_REP_ERROR 0x80000000u /* the bit of all of these */
#define NBD_REP_ERR_UNSUP 0x80000001u
#define NBD_REP_ERR_POLICY 0x80000002u
#define NBD_REP_ERR_INVALID 0x80000003u
#define NBD_REP_ERR_PLATFORM 0x80000004u
#define NBD_REP_ERR_TLS_REQD 0x80000005u
#define NBD_REP_ERR_UNKNOWN 0x80000006u
#define NBD_REP_ERR_SHUTDOWN 0x80000007u
#define NBD_REP_ERR_TOO_BIG 0x80000009u

enum
{
  NBD_INFO_EXPORT = 0,
  NBD_INFO_NAME = 1,
  NBD_INFO_DESCRIPTION = 2,
  NBD_INFO_BLOCK_SIZE = 3
};

enum
{ /* of an export */
  NBD_HAS_FLAGS = 1 << 0,
  NBD_READ_ONLY = 1 << 1,
  NBD_SEND_FLUSH = 1 << 2,
  NBD_SEND_FUA = 1 << 3,
  NBD_ROTATIONAL = 1 << 4,
  NBD_SEND_TRIM = 1 << 5,
  NBD_SEND_WRITE_ZEROES = 1 << 6,
  NBD_SEND_DF = 1 << 7,
  NBD_CAN_MULTI_CONN = 1 << 8,
  NBD_SEND_RESIZE = 1 << 9,
  NBD_SEND_CACHE = 1 << 10,
  NBD_SEND_FAST_ZERO = 1 << 11,
};

enum
{
  NBD_CALL_READ,
  NBD_CALL_WRITE,
  NBD_CALL_DISC,
  NBD_CALL_FLUSH,
  NBD_CALL_TRIM,
  NBD_CALL_CACHE,
  NBD_CALL_WRITE_ZEROES,
  NBD_CALL_BLOCK_STATUS
};

enum
{ /* of a request */
  NBD_FUA = 1,
  NBD_NO_HOLE = 2,
  NBD_DF = 4,
  NBD_REQ_ONE = 8,
  NBD_FAST_ZERO = 16
};

enum
{
  NBD_CHUNK_DONE = 1 /* a flag */
};
enum
{
  NBD_CHUNK_NONE = 0,
  NBD_CHUNK_DATA = 1,
  NBD_CHUNK_HOLE = 2,
  NBD_CHUNK_STATUS = 5,
  NBD_CHUNK_ERROR = 0x8001,
  NBD_CHUNK_ERROR_OFFSET = 0x8002
};

enum
{ /* of "base:allocation" */
  NBD_STATE_HOLE = 1,
  NBD_STATE_ZERO = 2
};

enum
{
  NBD_MAX_REQUEST = 32 * 1024 * 1024,
  NBD_MAX_OPTION = 65536,
  NBD_MAX_NAME = 4096,
};

uint32_t nbd_error_of_status (int status); /* of a negative errno value; 0 of 0 */
int nbd_status_of_error (uint32_t error);  /* what is unknown is -EIO */
