"""Look at the installation: what is there, what runs, and the command that mends what is not."""

from .checks import ERROR, OK, WARNING, Check, examine
from .report import report_json, report_table

__all__ = ['ERROR', 'OK', 'WARNING', 'Check', 'examine', 'report_json', 'report_table']
