"""Tables and displays of fitted classifiers: by label, threshold, epoch and feature."""

from skml.inspection._calibration_curve import CalibrationCurveDisplay
from skml.inspection._explanation import LabelContributionsDisplay, label_contributions
from skml.inspection._html_report import report_html
from skml.inspection._importance import LabelImportancesDisplay, label_importances
from skml.inspection._label_view import label_view
from skml.inspection._report import LabelReportDisplay, label_probabilities, label_report
from skml.inspection._risk_coverage_curve import RiskCoverageCurveDisplay
from skml.inspection._threshold_curve import ThresholdCurveDisplay
from skml.inspection._training_curve import TrainingCurveDisplay

__all__ = [
    "CalibrationCurveDisplay",
    "LabelContributionsDisplay",
    "LabelImportancesDisplay",
    "LabelReportDisplay",
    "RiskCoverageCurveDisplay",
    "ThresholdCurveDisplay",
    "TrainingCurveDisplay",
    "label_contributions",
    "label_importances",
    "label_probabilities",
    "label_report",
    "label_view",
    "report_html",
]
