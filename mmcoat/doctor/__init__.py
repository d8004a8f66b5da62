"""Check the installation: what is installed, what runs, and the command that fixes what does not."""

from .checks import ERROR, OK, WARNING, Check, examine
from .report import report_json, report_table

__all__ = ['ERROR', 'OK', 'WARNING', 'Check', 'examine', 'report_json', 'report_table']
