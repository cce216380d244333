"""The program: global options, the list of commands, and how errors become messages and exit codes.

The commands are in `commands/`. They import their tools when they run, so that help and shell completion load neither
torch nor OpenCV.
"""

import errno
import logging
import os
import sys

import click

from lolblur_synth import __version__
from lolblur_synth.commands import build, datasets, interpolator, json_lines, networks, noise, recipe, shoot, stage
from lolblur_synth.commands import options as opt
from lolblur_synth.errors import ForeignOutput, Interrupted, LolblurError, NoSpace, UsageError

EPILOG = """\b
Exit codes: 0 done, 1 a bug, 2 usage, 3 finished with failures, 4 recipe,
5 no usable input, 10 output is not ours, cannot be written or has another
recipe, 11 locked, 12 verify found damage, 13 no space, 130 interrupted.

\b
Completion of commands and options, for ~/.bashrc (zsh_source, fish_source):
eval "$(_LOLBLUR_SYNTH_COMPLETE=bash_source lolblur-synth)"
"""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # full disk, quota, limit of a file's size
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)  # no permission, or a read-only file system
RESUMABLE = ("build", "shoot", "train-lednet", "train-darken", "train-interpolator", "train-noise")
BAD_PATH = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO,
                 errno.ESTALE)  # fmt: skip
KEEPS_RESULTS = ("stage", "restore")  # an interrupted run names the results it has written


class Commands(click.Group):
    """Prints a foreseen error as two lines and exits with its code; prints a traceback only for bugs, with -v."""

    def invoke(self, context: click.Context):
        """Run the command; with --json an error is a line of JSON as well."""
        try:
            return self._invoke(context)
        except (LolblurError, OSError) as error:
            if context.meta.get(json_lines.ASKED) and (told := in_words(error)) is not None:
                json_lines.error(*told)
            raise

    def _invoke(self, context: click.Context):
        """Run the command. When it is interrupted, the hint tells whether the same command continues its work."""
        try:
            return super().invoke(context)
        except (KeyboardInterrupt, Interrupted) as stop:
            if context.invoked_subcommand in RESUMABLE and not context.meta.get(opt.DRY_RUN):
                raise Interrupted(str(stop) or "interrupted", "the same command continues") from None
            if context.invoked_subcommand in KEEPS_RESULTS and isinstance(stop, Interrupted):
                raise
            raise Interrupted("interrupted", "nothing is kept to continue from; the same command begins anew") from None

    def main(self, *args, standalone_mode: bool = True, **kwargs):
        try:
            result = super().main(*args, standalone_mode=False, **kwargs)
        except click.exceptions.Exit as done:
            sys.exit(done.exit_code)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            fail("interrupted", "", 130)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the program that read our output has ended: no error
            sys.exit(0)
        except Exception as error:
            told = in_words(error)
            if told is None:
                bug(error)
            else:
                fail(*told)
        sys.exit(result if isinstance(result, int) else 0)


def in_words(error: Exception) -> tuple[str, str, int] | None:
    """The message, the hint and the exit code of a foreseen error: one of ours, or of the user's disk or path."""
    if isinstance(error, LolblurError):
        return str(error), error.hint, error.exit_code
    if not isinstance(error, OSError):
        return None
    if error.errno in FULL:
        place = error.filename or "on the disk"
        return f"no space left ({place})", "free some space, then run again", NoSpace.exit_code
    if error.filename is not None and error.errno in DENIED:
        hint = "check its permissions, or name another place for what is written"
        return f"{error.filename}: {error.strerror}", hint, ForeignOutput.exit_code
    if error.filename and error.errno in BAD_PATH:
        hint = "check the path, its permissions and its disk, or name another"
        return f"{os.fsdecode(error.filename)}: {error.strerror}", hint, UsageError.exit_code
    return None


def fail(message: str, hint: str, code: int) -> None:
    """Print `Error: message` and the hint on stderr, and exit with the code."""
    click.echo(f"Error: {opt.printable(message)}", err=True)
    if hint:
        click.echo(f"  {opt.printable(hint)}", err=True)
    sys.exit(code)


def bug(error: Exception) -> None:
    """Report an unforeseen error: with a traceback under -v, else in one line."""
    if logging.getLogger("lolblur_synth").isEnabledFor(logging.DEBUG):
        raise error
    fail(f"unexpected {type(error).__name__}: {error}", "this is a bug; run again with -v and report what it prints", 1)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "LOLBLUR"},
    epilog=EPILOG,
)
@click.option("-v", "--verbose", count=True, help="Say more; tracebacks for bugs.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but failures.")
@click.option("--log-file", type=click.Path(dir_okay=False), help="Also write the log to this file.")
@click.version_option(__version__, prog_name="lolblur-synth")
@click.pass_context
def main(context: click.Context, verbose: int, quiet: bool, log_file: str | None):
    """Turn high-frame-rate video into paired data for joint low-light enhancement and deblurring.

    \b
    lolblur-synth build videos/ out/             make the dataset; the same command again continues
    lolblur-synth plan videos/                   what build would do
    lolblur-synth stage darken --exposure 0.2    one stage alone, on the bundled sample
    """
    log = logging.getLogger("lolblur_synth")
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
    if log_file:
        try:
            log.addHandler(logging.FileHandler(log_file))
        except OSError as error:
            raise UsageError(f"--log-file {log_file}: {error.strerror}", "give a file that can be written") from None
    context.obj = "quiet" if quiet else "human"


@main.command(short_help="What this machine offers.")
@opt.json_option
@click.pass_obj
def doctor(style, as_json):
    """Show versions, processor, GPU, weights and disk, and run one pair of the sample through the pipeline."""
    if style == "human" and not as_json:
        click.echo("doctor: building one pair of the sample clip, which takes about a minute", err=True)
    from lolblur_synth.tools import doctor

    report = doctor.examine(opt.sample_clip())
    if as_json:
        json_lines.summary(report)
    else:
        for key, value in report.items():
            click.echo(f"{key:12} {value}")
    return 0


for _command in (
    build.build, build.plan, datasets.status, datasets.verify, datasets.preview,
    datasets.report, datasets.export, stage.stage, shoot.shoot, recipe.recipe,
    networks.train_lednet, networks.train_darken, interpolator.train_interpolator,
    noise.train_noise, networks.evaluate, networks.restore, networks.weights_group, noise.realism,
):  # fmt: skip
    main.add_command(_command)

if __name__ == "__main__":
    main()
