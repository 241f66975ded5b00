/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vitrine-img: makes, converts and examines disk images. */
#include "block/tools/img.h"

#include "engine/base/trace.h"

#include <stdio.h>

typedef struct Command
{
  const char *name;
  VmToolFunc func;
  const char *usage;
} Command;

static const Command commands[] = {
  { "amend", vm_img_amend,
    "[--object objectdef] [--image-opts] [-p] [-q] [-f fmt] [-t cache] [--force] -o options filename" },
  { "bench", vm_img_bench,
    "[-c count] [-d depth] [-f fmt] [--flush-interval=flush_interval] [-i aio] [-n] [--no-drain] [-o offset] "
    "[--pattern=pattern] [-q] [-s buffer_size] [-S step_size] [-t cache] [-w] [-U] filename" },
  { "bitmap", vm_img_bitmap,
    "(--merge SOURCE | --add | --remove | --clear | --enable | --disable)... [-b source_file [-F source_fmt]] "
    "[-g granularity] [--object objectdef] [--image-opts | -f fmt] filename bitmap" },
  { "check", vm_img_check,
    "[--object objectdef] [--image-opts] [-q] [-f fmt] [--output=ofmt] [-r [leaks | all]] [-T src_cache] [-U] "
    "filename" },
  { "commit", vm_img_commit,
    "[--object objectdef] [--image-opts] [-q] [-f fmt] [-t cache] [-b base] [-r rate_limit] [-d] [-p] filename" },
  { "compare", vm_img_compare,
    "[--object objectdef] [--image-opts] [-f fmt] [-F fmt] [-T src_cache] [-p] [-q] [-s] [-U] filename1 filename2" },
  { "convert", vm_img_convert,
    "[--object objectdef] [--image-opts] [--target-image-opts] [--target-is-zero] [--bitmaps "
    "[--skip-broken-bitmaps]] [-U] [-C] [-c] [-p] [-q] [-n] [-f fmt] [-t cache] [-T src_cache] [-O output_fmt] "
    "[-B backing_file [-F backing_fmt]] [-o options] [-l snapshot_param] [-S sparse_size] [-r rate_limit] "
    "[-m num_coroutines] [-W] [--salvage] filename [filename2 [...]] output_filename" },
  { "create", vm_img_create,
    "[--object objectdef] [-q] [-f fmt] [-b backing_file [-F backing_fmt]] [-u] [-o options] filename [size]" },
  { "dd", vm_img_dd,
    "[--image-opts] [-U] [-f fmt] [-O output_fmt] [bs=block_size] [count=blocks] [skip=blocks] if=input of=output" },
  { "info", vm_img_info,
    "[--object objectdef] [--image-opts] [-f fmt] [--output=ofmt] [--backing-chain] [-U] filename" },
  { "map", vm_img_map,
    "[--object objectdef] [--image-opts] [-f fmt] [--start-offset=offset] [--max-length=len] [--output=ofmt] [-U] "
    "filename" },
  { "measure", vm_img_measure,
    "[--output=ofmt] [-O output_fmt] [-o options] [--size N | [--object objectdef] [--image-opts] [-f fmt] "
    "[-l snapshot_param] filename]" },
  { "rebase", vm_img_rebase,
    "[--object objectdef] [--image-opts] [-U] [-q] [-f fmt] [-t cache] [-T src_cache] [-p] [-u] [-c] "
    "-b backing_file [-F backing_fmt] filename" },
  { "resize", vm_img_resize,
    "[--object objectdef] [--image-opts] [-f fmt] [--preallocation=prealloc] [-q] [--shrink] filename [+ | -]size" },
  { "snapshot", vm_img_snapshot,
    "[--object objectdef] [--image-opts] [-U] [-q] [-l | -a snapshot | -c snapshot | -d snapshot] filename" },
};

static const char help_parameters[]
    = "Command parameters:\n"
      "  'filename' is a disk image, 'fmt' its format; it is found out when not given\n"
      "  'objectdef' makes an object, most often a 'secret' with a password\n"
      "  'cache' is how the output image is written: 'none', 'writeback' (the default, except for convert),\n"
      "    'writethrough', 'directsync' or 'unsafe' (the default for convert); 'src_cache' is the same for what is "
      "read\n"
      "  'size' is in bytes; k, M, G, T, P and E stand for powers of 1024\n"
      "  'options' is a list name=value,... of what the format takes; '-o help' lists it\n"
      "  'snapshot_param' is the id or the name of a snapshot, or 'snapshot.id=[ID],snapshot.name=[NAME]'\n"
      "  '-c' compresses the output\n"
      "  '-u' does not look at backing files: create does not need them, rebase only changes the name\n"
      "  '-p' shows progress; without it SIGUSR1 prints it once\n"
      "  '-q' prints nothing but errors\n"
      "  '-S' is how many zero bytes in a row become a hole (4k); 0 writes every byte\n"
      "  '-U' opens images that others write; what is read may not fit together\n"
      "  '-n' does not make the output image, which must exist\n"
      "  '-m' is how many requests are under way at once (8), '-W' writes them in any order\n"
      "  '-r' of check repairs: 'leaks' or 'all'\n"
      "  '--output' is 'human' or 'json'\n"
      "  '-a', '-c', '-d', '-l' of snapshot apply, create, delete and list\n"
      "  '-s' of compare: sizes and allocation must be equal too\n"
      "  'bs=BYTES' 'count=N' 'skip=N' 'if=FILE' 'of=FILE' of dd: block size (512), blocks, blocks left out before\n";

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

int
vm_img_help (VmTool *tool)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();

  vm_tool_print_version (tool);
  printf ("usage: %s [standard options] command [command options]\n"
          "Disk image utility\n\n"
          "    '-h', '--help'       display this help and exit\n"
          "    '-V', '--version'    output version information and exit\n"
          "    '-T', '--trace'      [[enable=]<pattern>][,events=<file>][,file=<file>]\n"
          "                         specify tracing options\n\nCommand syntax:\n",
          tool->program);
  for (unsigned i = 0; i < G_N_ELEMENTS (commands); i++)
    printf ("  %s %s\n", commands[i].name, commands[i].usage);
  printf ("\n%s\nSupported formats:", help_parameters);
  for (const VmBlockDriver *const *d = vm_graph_drivers (tool->graph); *d; d++)
    g_ptr_array_add (names, (gpointer) (uintptr_t) (*d)->name);
  g_ptr_array_sort (names, compare_names);
  for (guint i = 0; i < names->len; i++)
    printf (" %s", (const char *) g_ptr_array_index (names, i));
  putchar ('\n');
  return 0;
}

static bool
parse_output (VmTool *tool, const char *text, bool *json)
{
  *json = !strcmp (text, "json");
  return *json || !strcmp (text, "human")
         || vm_tool_error (tool, NULL, "--output must be used with human or json as argument.");
}

static int
end_of_args (VmImgArgs *args, int status)
{
  args->status = status;
  return '?';
}

int
vm_img_next (VmTool *tool, VmImgArgs *args)
{
  for (int c;;)
    switch ((c = vm_tool_getopt (tool, args->argc, args->argv, args->letters, args->options)))
      {
      case 'h':
        return end_of_args (args, vm_img_help (tool));
      case '?':
        return end_of_args (args, 1);
      case IMG_OBJECT:
        if (!vm_tool_add_object (tool, optarg))
          return end_of_args (args, 1);
        break;
      case IMG_IMAGE_OPTS:
        args->how->image_opts = true;
        break;
      case IMG_OUTPUT:
        if (!parse_output (tool, optarg, args->json))
          return end_of_args (args, 1);
        break;
      case 'f':
        if (!args->how)
          return c;
        args->how->format = optarg;
        break;
      case 'U':
        args->how->force_share = true;
        break;
      default:
        return c;
      }
}

bool
vm_img_wants_help (const char *list)
{
  g_auto (GStrv) items = g_strsplit (list, ",", -1);

  for (char **item = items; *item; item++)
    if (!strcmp (*item, "help") || !strcmp (*item, "?"))
      return true;
  return false;
}

static int
run (VmTool *tool, int argc, char **argv)
{
  static const struct option options[] = { { "help", no_argument, NULL, 'h' },
                                           { "version", no_argument, NULL, 'V' },
                                           { "trace", required_argument, NULL, 'T' },
                                           { NULL } };
  int c;

  while ((c = vm_tool_getopt (tool, argc, argv, "+:hVT:", options)) != -1)
    switch (c)
      {
      case 'h':
        return vm_img_help (tool);
      case 'V':
        vm_tool_print_version (tool);
        return 0;
      case 'T':
        if (!strcmp (optarg, "help") || !strcmp (optarg, "?"))
          {
            vm_trace_print ();
            return 0;
          }
        if (!vm_tool_trace (tool, optarg))
          return 1;
        break;
      default:
        return 1;
      }
  if (optind >= argc)
    return vm_tool_usage (tool, "Not enough arguments");
  argc -= optind;
  argv += optind;
  optind = 0;
  for (unsigned i = 0; i < G_N_ELEMENTS (commands); i++)
    if (!strcmp (argv[0], commands[i].name))
      return commands[i].func (tool, argc, argv);
  return vm_tool_usage (tool, "Command not found: %s", argv[0]);
}

int
main (int argc, char **argv)
{
  return vm_tool_main ("img", argc, argv, run, NULL);
}
