"""Every claim of a study, as its report has them, without drawing anything."""

from __future__ import annotations

from ferray.analysis.answers import fates
from ferray.analysis.calibration import calibration_info
from ferray.analysis.calibration_claims import calibration_claims
from ferray.analysis.claims import Claim
from ferray.analysis.confusion import confusion_info
from ferray.analysis.confusion_claims import rate_claims
from ferray.analysis.confusion_rates import change_claims, changes
from ferray.analysis.curves import curves_info
from ferray.analysis.divergence import divergence_claims
from ferray.analysis.effects import effect_claims
from ferray.analysis.factorial_claims import factorial_claims
from ferray.analysis.optimism import opened_info, optimism_claims
from ferray.analysis.overfitting import overfitting_claims, overfitting_info
from ferray.analysis.results import Results
from ferray.analysis.statements import statement_claims, statements_info
from ferray.analysis.tuned_claims import tuned_claims
from ferray.analysis.turned_images import turned_claims, turned_info


def study_claims(results: Results) -> list[Claim]:
    """The claims of ``claims.json``, those of effects first; kinds that a study has no ground for are left out."""
    claims = [*effect_claims(results), *factorial_claims(results), *tuned_claims(results), *divergence_claims(results)]
    claims += overfitting_claims(overfitting_info(results, curves_info(results)))
    calibration, confusion = calibration_info(results), confusion_info(results)
    claims += calibration_claims(calibration) if calibration is not None else []
    if confusion is not None:
        statements = statements_info(results)
        claims += rate_claims(confusion, fates(results, confusion.variant))
        claims += statement_claims(statements) if statements is not None else []
        claims += change_claims(changes(results), confusion.split, confusion.label, results.baseline)
    turned = turned_info(results)
    claims += turned_claims(turned) if turned is not None else []
    return [*claims, *optimism_claims(opened_info(results))]
